/**
 * Chooses where the bytes of a download come from in a cluster. The object store is asked first, then a node
 * that has them, then a node that is downloading them, and then the upstream, which only the node with the
 * lease may ask. So the upstream sends a digest once to the whole cluster.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Copies } from '../../cluster/copies.ts';
import type { GoneLease, Lease, LeasedElsewhere, Leases } from '../../cluster/leases.ts';
import type { ClusterLimits } from '../../cluster/limits.ts';
import type { Nodes } from '../../cluster/nodes.ts';
import type { StoredObject } from '../../cluster/objects/stored-objects.ts';
import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import { throwIfNobodyWaits } from '../../platform/scheduling/waiters.ts';
import type { Digest } from '../../registry/digest.ts';
import { CLIENT_RETRY_AFTER } from '../limits.ts';
import type { OpenBlob } from '../pull/receive-blob.ts';
import type { BlobBody } from '../upstream/read-blob.ts';
import { ok, type UpstreamResult, unavailable } from '../upstream/upstream-result.ts';
import type { ObjectSource } from './objects/object-source.ts';
import type { PeerClient } from './peer-client.ts';

export interface SourcesOptions {
  readonly nodes: Nodes;
  readonly leases: Leases;
  readonly copies: Copies;
  readonly peers: PeerClient;
  /** Absent if there is no object store. */
  readonly objects?: ObjectSource | undefined;
  readonly limits: ClusterLimits;
}

/** The milliseconds after which a node that did not answer is asked again. */
const ASK_AGAIN_AFTER = 100;

/** The most times that one download opens an object. */
const MOST_OBJECT_READS = 3;

export class Sources {
  readonly #options: SourcesOptions;

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /**
   * True if the object store or another node has the content, or a node downloads it, so that the upstream
   * need not send it.
   */
  async isElsewhere(digest: Digest): Promise<boolean> {
    const { leases, copies, nodes, objects } = this.#options;
    try {
      if ((await objects?.find(digest)) !== undefined) return true;
      const holder = await leases.holder(digest);
      if (holder !== undefined && nodes.find(holder.node) !== undefined) return true;
      const ids = [...(await copies.elsewhere(digest)), ...(holder === undefined ? [] : [holder.node])];
      return ids.length > 0 && (await nodes.findAlive(({ id }) => ids.includes(id))) !== undefined;
    } catch (error) {
      if (error instanceof DatabaseUnavailable) return false;
      throw error;
    }
  }

  /**
   * Runs `task`, which fetches `key` from the upstream, in one node at a time. A node that comes later finds
   * what the one before has fetched. A node that has died holds up the others until its lease runs out.
   * @throws DatabaseUnavailable
   */
  async inTurn<T>(key: string, task: () => Promise<T>, find: () => Promise<T | undefined>): Promise<T> {
    const { leases } = this.#options;
    for (;;) {
      const taken = await leases.take(key);
      await using lease = taken.kind === 'held' ? taken : undefined;
      const found = await find();
      if (found !== undefined) return found;
      if (lease !== undefined) return await task();
      throwIfNobodyWaits();
      await delay(ASK_AGAIN_AFTER);
    }
  }

  begin(digest: Digest): SharedDownload {
    return new SharedDownload(digest, this.#options);
  }
}

/** It is ok if the caller's repository contains the digest and the caller may read it. */
export type Confirmation = UpstreamResult<unknown>;

/** The ways in which one repository reaches a digest. */
export interface BlobOrigins {
  /** Asks the upstream for the bytes. */
  readonly upstream: OpenBlob;
  /** Asks whether the repository contains the digest, before another node is followed. */
  readonly confirm: () => Promise<Confirmation>;
}

/** One download of this node, which goes on from another source when one fails. */
export class SharedDownload implements AsyncDisposable {
  readonly #digest: Digest;
  readonly #options: SourcesOptions;
  #lease: Lease | undefined;
  #isOver = false;
  /** The nodes that have sent stored bytes. */
  readonly #senders = new Set<string>();
  /** The object that has sent bytes, and how often it was opened. */
  #object: StoredObject | undefined;
  #objectOpened = 0;
  /** The lease of a node that has ended for certain. */
  #gone: GoneLease | undefined;

  constructor(digest: Digest, options: SourcesOptions) {
    this.#digest = digest;
    this.#options = options;
  }

  /**
   * Opens the bytes from the offset `from` on. Before it follows another node it asks `confirm`, because that
   * node may have been asked for it under another repository.
   */
  async open(
    from: number,
    size: number | undefined,
    origins: BlobOrigins,
  ): Promise<UpstreamResult<BlobBody>> {
    const until = performance.now() + 2 * this.#options.limits.lease;
    try {
      for (;;) {
        const answer = await this.#tryOpen(from, size, origins);
        if ('kind' in answer) return answer;
        if (performance.now() > until)
          return unavailable('cluster', `node ${answer.silent} does not answer`, 1);
        // The lease of a silent node runs out soon. A node that has certainly ended is not waited for.
        if (this.#gone === undefined) await delay(ASK_AGAIN_AFTER);
      }
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      return unavailable('cluster', error.message, CLIENT_RETRY_AFTER.storeAway);
    }
  }

  /** Records that the bytes were wrong, so that they are fetched from elsewhere the next time. */
  async reject(): Promise<void> {
    if (this.#object !== undefined)
      await this.#options.objects?.drop(this.#object, 'the object store has wrong bytes, which are not used');
    for (const id of this.#senders) await this.#options.copies.remove(this.#digest, id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#lease?.[Symbol.asyncDispose]();
    this.#lease = undefined;
  }

  /** Returns the node that should have answered and did not, if there is one. */
  async #tryOpen(
    from: number,
    size: number | undefined,
    { upstream, confirm }: BlobOrigins,
  ): Promise<UpstreamResult<BlobBody> | { readonly silent: string }> {
    if (this.#lease === undefined || this.#lease.lost.aborted) {
      const asked = new Set<string>();
      const stored =
        (await this.#fromObject(from, confirm)) ?? (await this.#fromCopies(from, confirm, asked));
      if (stored !== undefined) return stored;
      const taken = await this.#options.leases.take(this.#digest, this.#gone);
      if (taken.kind === 'elsewhere')
        return (await this.#fromDownload(taken, from, confirm)) ?? { silent: taken.node };
      // This download is over, so nothing else would give the lease back.
      if (this.#isOver) await taken[Symbol.asyncDispose]();
      else this.#lease = taken;
      // Another node may have received it all between the look for copies and the lease.
      const late = (await this.#fromObject(from, confirm)) ?? (await this.#fromCopies(from, confirm, asked));
      if (late !== undefined) {
        this.#lease = undefined;
        await taken[Symbol.asyncDispose]();
        return late;
      }
    }
    return this.#fromUpstream(from, size, upstream);
  }

  /** Reads from the object store. An object that breaks off again and again is left alone. */
  async #fromObject(
    from: number,
    confirm: () => Promise<Confirmation>,
  ): Promise<UpstreamResult<BlobBody> | undefined> {
    const { objects } = this.#options;
    if (objects === undefined || this.#objectOpened >= MOST_OBJECT_READS) return undefined;
    const object = await objects.find(this.#digest);
    if (object === undefined) return undefined;
    const confirmed = await confirm();
    if (confirmed.kind !== 'ok') return confirmed;
    if (from > object.size) return unavailable('unfit', `the object has ${object.size} bytes`);
    // A store answers an empty range with an error, so then the object is read from its beginning. Whoever
    // reads the body skips the bytes that are here already.
    const begin = from === object.size ? 0 : from;
    const content = await objects.open(object, begin);
    if (content === undefined) return undefined;
    this.#object = object;
    this.#objectOpened++;
    return ok({ from: begin, body: content.body, isFree: true, size: content.size });
  }

  /** Asks the nodes that have a copy, except those in `asked`, to which it adds them. */
  async #fromCopies(from: number, confirm: () => Promise<Confirmation>, asked: Set<string>) {
    const { copies, nodes, peers } = this.#options;
    for (const id of await copies.elsewhere(this.#digest)) {
      if (asked.has(id)) continue;
      const node = await nodes.findAlive((one) => one.id === id);
      if (node === undefined) continue;
      asked.add(id);
      const confirmed = await confirm();
      if (confirmed.kind !== 'ok') return confirmed;
      const answer = await peers.open(node, this.#digest, from);
      if (answer.kind === 'content') {
        this.#senders.add(id);
        return ok(answer.body);
      }
      if (answer.kind === 'absent') await copies.remove(this.#digest, id);
    }
    return undefined;
  }

  /** Follows the download of another node. */
  async #fromDownload(
    holder: LeasedElsewhere,
    from: number,
    confirm: () => Promise<Confirmation>,
  ): Promise<UpstreamResult<BlobBody> | undefined> {
    const { nodes, peers } = this.#options;
    const confirmed = await confirm();
    if (confirmed.kind !== 'ok') return confirmed;
    const node = nodes.find(holder.node) ?? (await nodes.findAlive(({ id }) => id === holder.node));
    // When the lease of a frozen node runs out, nobody waits for the node any longer.
    const within = Math.max(holder.endsIn, ASK_AGAIN_AFTER);
    const answer = node && (await peers.open(node, this.#digest, from, within));
    if (answer?.kind === 'content') return ok(answer.body);
    // Nothing listens there any more, so its lease need not run out.
    this.#gone = answer?.kind === 'unanswered' && answer.isRefused ? holder : undefined;
    return undefined;
  }

  /** Ends the body when the lease is lost, because another node downloads it then. */
  async #fromUpstream(from: number, size: number | undefined, upstream: OpenBlob) {
    const lost = this.#lease?.lost;
    const answer = await upstream(from, size);
    if (answer.kind === 'ok') {
      const { body } = answer.value;
      // Nobody may read it yet when the lease is lost. Whoever reads it later gets the error too.
      body.on('error', () => {});
      const end = () => body.destroy(new Error('the lease of the download is lost'));
      if (lost?.aborted === true) end();
      lost?.addEventListener('abort', end, { once: true });
      body.once('close', () => lost?.removeEventListener('abort', end));
    }
    return answer;
  }
}
