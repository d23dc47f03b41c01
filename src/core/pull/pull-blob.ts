import { Readable } from 'node:stream';
import type { Logger } from '../../platform/log.ts';
import type { CacheState, Grant } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import type { CoreLimits } from '../limits.ts';
import type { PartialContent } from '../store/content-store.ts';
import type { Store } from '../store/store.ts';
import { type Answer, yes } from '../upstream/answer.ts';
import type { BlobBody, BlobHead, RegistryClient } from '../upstream/registry-client.ts';
import type { CacheWrites } from './cache-writes.ts';
import { Fill } from './fill.ts';
import { type Memberships, readerFor } from './membership.ts';
import { type Outcome, refusalOf } from './outcome.ts';
import { type OpenBlob, type ReceiveOptions, receiveBlob } from './receive-blob.ts';

export type PulledBlob =
  /** Whole and verified. */
  | { readonly blob: 'stored'; readonly file: string; readonly size: number }
  | { readonly blob: 'filling'; readonly fill: Fill }
  /** Past a cache that cannot be written: this caller's own bytes, not verified. */
  | { readonly blob: 'bytes'; readonly size: number | undefined; readonly body: Readable };

export interface BlobPullOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly memberships: Memberships;
  readonly writes: CacheWrites;
  readonly limits: CoreLimits;
  readonly log: Logger;
}

/** A fill from the moment that its upstream GET is sent. */
interface Opening {
  readonly repository: Repository;
  readonly opened: Promise<Answer<Fill> | Unwritable>;
}

interface Unwritable {
  readonly kind: 'unwritable';
}

export class BlobPull implements AsyncDisposable {
  readonly #options: BlobPullOptions;
  readonly #fills = new Map<Digest, Opening>();
  readonly #ending = new AbortController();
  readonly #ended = { whole: 0, broken: 0 };

  constructor(options: BlobPullOptions) {
    this.#options = options;
  }

  /** Fills since the start, of which the last ones have not ended. */
  get fills(): { readonly underWay: number; readonly whole: number; readonly broken: number } {
    return { underWay: this.#fills.size, ...this.#ended };
  }

  async get(repository: Repository, digest: Digest, grant: Grant): Promise<Outcome<PulledBlob>> {
    const { store, memberships } = this.#options;
    const known = await memberships.known(repository, 'blob', digest, grant);
    const isHere = (await store.content.find(digest)) !== undefined;
    const running = this.#fills.get(digest);
    // What is fetched under the repository's own scope is confirmed by that; what comes by way of another is not.
    const isOwn = !isHere && (running === undefined || running.repository.name === repository.name);
    if (known.visible === 'visible' && isOwn) return this.#join(repository, digest);
    const membership = await memberships.confirm(repository, 'blob', digest, grant, known);
    if (membership.kind === 'refused') return refusalOf(membership.answer, 'BLOB_UNKNOWN');
    const stored = await store.content.find(digest);
    if (stored === undefined) return this.#join(repository, digest);
    const holds = await memberships.visibleFor(repository, grant);
    return { kind: 'found', cache: 'hit', holds, blob: 'stored', ...stored };
  }

  /** Starts no fill: a HEAD moves no bytes. */
  async head(repository: Repository, digest: Digest, grant: Grant): Promise<Outcome<BlobHead>> {
    const { store, client, memberships } = this.#options;
    const known = await memberships.known(repository, 'blob', digest, grant);
    const membership = await memberships.confirm(repository, 'blob', digest, grant, known);
    if (membership.kind === 'refused') return refusalOf(membership.answer, 'BLOB_UNKNOWN');
    const stored = await store.content.find(digest);
    if (stored !== undefined) return found('hit', stored.size);
    if (membership.head?.size !== undefined) return found('fill', membership.head.size);
    const head = await client.headBlob(repository, digest, { as: readerFor(grant), wantSize: true });
    return head.kind === 'yes' ? found('fill', head.value.size) : refusalOf(head, 'BLOB_UNKNOWN');
  }

  /** The fill of this digest: the one under way, or a new one. */
  async #join(repository: Repository, digest: Digest): Promise<Outcome<PulledBlob>> {
    const running = this.#fills.get(digest);
    const opening = running ?? this.#open(repository, digest);
    const answer = await opening.opened;
    if (answer.kind === 'unwritable') return this.#passBy(repository, digest);
    if (answer.kind !== 'yes') return refusalOf(answer, 'BLOB_UNKNOWN');
    if (running !== undefined && answer.value.hasFailed) {
      // It is being cleared away: who comes now is owed another try.
      await answer.value.ended;
      return this.#join(repository, digest);
    }
    const cache = running === undefined ? 'fill' : 'joined';
    return { kind: 'found', cache, blob: 'filling', fill: answer.value };
  }

  #open(repository: Repository, digest: Digest): Opening {
    const opened = this.#start(repository, digest);
    const opening = { repository, opened };
    this.#fills.set(digest, opening);
    opened
      .then((answer) => (answer.kind === 'yes' ? this.#end(answer.value) : undefined))
      .finally(() => this.#fills.delete(digest))
      .catch(() => {
        // Whoever waits for `opened` has the error.
      });
    return opening;
  }

  async #end(fill: Fill): Promise<void> {
    await fill.ended;
    this.#ended[fill.hasFailed ? 'broken' : 'whole']++;
  }

  async #start(repository: Repository, digest: Digest): Promise<Answer<Fill> | Unwritable> {
    const { store, writes, log } = this.#options;
    let partial: PartialContent;
    try {
      partial = await store.content.begin(digest);
    } catch (error) {
      writes.failed(error as Error);
      return { kind: 'unwritable' };
    }
    const receive = this.#receive(repository, digest);
    const answer = await openFrom(partial, receive.open);
    if (answer.kind === 'yes')
      return yes(new Fill({ ...receive, digest, partial, first: answer.value, writes, log }));
    await (partial.left > 0 && answer.kind === 'cannot' ? partial.leave() : partial.discard());
    return answer;
  }

  /** Each caller's own download: nothing that could be shared can be kept. */
  async #passBy(repository: Repository, digest: Digest): Promise<Outcome<PulledBlob>> {
    const receive = this.#receive(repository, digest);
    const first = await receive.open(0, undefined);
    if (first.kind !== 'yes') return refusalOf(first, 'BLOB_UNKNOWN');
    const body = Readable.from(copies(receiveBlob(first.value, 0, receive)), { objectMode: false });
    return { kind: 'found', cache: 'bypass', blob: 'bytes', size: first.value.size, body };
  }

  /** How the bytes are had: as the account, and what the upstream says of the repository in passing is learnt. */
  #receive(repository: Repository, digest: Digest): ReceiveOptions {
    const { store, client, memberships, limits } = this.#options;
    const open: OpenBlob = async (from, size) => {
      const ask = { as: 'account', from, ...(size !== undefined && { size }) } as const;
      const answer = await client.getBlob(repository, digest, ask);
      await memberships.learn(repository, 'account', answer);
      if (answer.kind === 'yes') await store.index.putLink(repository.name, digest, { kind: 'blob' });
      return answer;
    };
    return { open, limits, signal: this.#ending.signal };
  }

  /** Ends the fills under way; what they have stays for the next start. */
  abandon(): void {
    this.#ending.abort();
  }

  /** Waits for the fills under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(
      [...this.#fills.values()].map(async ({ opened }) => {
        const answer = await opened;
        if (answer.kind === 'yes') await answer.value.ended;
      }),
    );
  }
}

function found(cache: CacheState, size: number | undefined): Outcome<BlobHead> {
  return { kind: 'found', cache, size };
}

/** A stream keeps what it was given until it is read. */
async function* copies(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  for await (const piece of pieces) yield Buffer.from(piece);
}

/** The answer to the request for what is missing; for everything, where what was left is more than there is. */
async function openFrom(partial: PartialContent, open: OpenBlob): Promise<Answer<BlobBody>> {
  const answer = await open(partial.left, undefined);
  if (partial.left === 0 || answer.kind !== 'cannot' || answer.trouble.cause !== 'unfit') return answer;
  await partial.clear();
  return open(0, undefined);
}
