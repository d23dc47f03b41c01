import { Readable } from 'node:stream';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { Deadline, unlessAborted } from '../../platform/scheduling/deadline.ts';
import { workForAll } from '../../platform/scheduling/waiters.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import type { SharedDownload, Sources } from '../cluster/sources.ts';
import type { CacheSpace } from '../eviction/cache-space.ts';
import type { CoreLimits } from '../limits.ts';
import type { Store } from '../store/store.ts';
import type { BlobBody } from '../upstream/read-blob.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import { ok, overBudget, type UpstreamResult } from '../upstream/upstream-result.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { CacheWrites } from './cache-writes.ts';
import { Download, type Opened } from './download.ts';
import type { Fill } from './fill.ts';
import { type FillPlace, FillPlaces } from './fill-places.ts';
import { type PullOutcome, type PullRefusal, refusalOf } from './outcome.ts';
import type { DownloadBudgets } from './pull-part.ts';
import type { PulledBlob } from './pulled-blob.ts';
import { type OpenBlob, type ReceiveOptions, receiveBlob } from './receive-blob.ts';
import type { RepositoryLinks } from './repository-links.ts';

export interface BlobDownloadsOptions {
  /** The limits on the bandwidth of upstreams, of those that have one. */
  readonly bandwidths: ReadonlyMap<UpstreamHost, Bandwidth>;
  readonly store: Store;
  readonly client: RegistryClient;
  readonly budgets: DownloadBudgets;
  readonly links: RepositoryLinks;
  readonly writes: CacheWrites;
  readonly space: CacheSpace;
  /** The other nodes of the cluster; absent if there is none. */
  readonly sources?: Sources | undefined;
  readonly limits: CoreLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The wanted part of a blob, and the signal of its client. */
export interface BlobRequest {
  /** The single wanted range, such as `bytes=0-9`. A small part can arrive before the rest. */
  readonly range?: string | undefined;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
}

interface Joining extends BlobRequest {
  readonly requester: Requester;
  /** True if the repository is known to contain the digest. */
  readonly isLinked: boolean;
  /** Opens the bytes of a hosted blob, which no upstream has; absent if it is mirrored. */
  readonly origin?: OpenBlob;
  /** Aborted when the time for the answer is over. */
  readonly late: AbortSignal;
}

interface Opening {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly joining: Joining;
  readonly download: Download;
  /** True if the download began for this caller. */
  readonly isOwn: boolean;
}

/** The place of a caller who joins an opening that has a place already. */
const NO_PLACE: FillPlace = { kind: 'place', [Symbol.dispose]: () => {} };

/** The downloads of blobs, one for each digest, which all who wait for the digest join. */
export class BlobDownloads implements AsyncDisposable {
  readonly #options: BlobDownloadsOptions;
  readonly #downloads = new Map<Digest, Download>();
  /** The upstreams of the running downloads. */
  readonly #upstreams = new Map<Digest, UpstreamHost>();
  /** The part of the other nodes of the cluster in each running download. It is empty without a cluster. */
  readonly #shared = new Map<Digest, SharedDownload>();
  readonly #places = new Map<UpstreamHost, FillPlaces>();
  readonly #ending = new AbortController();
  readonly #ended = { whole: 0, broken: 0 };

  constructor(options: BlobDownloadsOptions) {
    this.#options = options;
  }

  /** The numbers of fills since the start: those that are under way, and those that have ended either way. */
  get fills(): { readonly underWay: number; readonly whole: number; readonly broken: number } {
    return { underWay: this.#downloads.size, ...this.#ended };
  }

  /** Returns the download of a digest that is under way. */
  running(digest: Digest): Download | undefined {
    return this.#downloads.get(digest);
  }

  /** Returns why the requester may begin no download. */
  whyNoDownload({ spender }: Requester): PullRefusal | undefined {
    const { budgets, clock } = this.#options;
    const quota = budgets.mayDownload(spender);
    return quota && refusalOf(overBudget(quota, clock()), 'BLOB_UNKNOWN');
  }

  /**
   * Joins within one deadline, which includes the wait for a place. An opening that takes longer continues
   * for callers that joined later.
   */
  async join(
    repository: Repository,
    digest: Digest,
    joining: Omit<Joining, 'late'>,
  ): Promise<PullOutcome<PulledBlob>> {
    using deadline = new Deadline(this.#options.limits.question);
    const { signal: late } = deadline;
    try {
      return await unlessAborted(this.#join(repository, digest, { ...joining, late }), late, destroyBody);
    } catch (error) {
      if (!late.aborted || error !== late.reason) throw error;
      return { kind: 'refused', error: 'UPSTREAM_TIMEOUT' };
    }
  }

  /**
   * Joins the fill of this digest that is under way, or begins one. A fill of another repository is joined
   * without asking the upstream only if this repository has confirmed the digest already. A caller
   * that can join no fill waits for a place first, and then comes here again with it.
   */
  async #join(
    repository: Repository,
    digest: Digest,
    joining: Joining,
    place?: FillPlace,
  ): Promise<PullOutcome<PulledBlob>> {
    const { name } = repository;
    const running = this.#downloads.get(digest);
    if (running?.isClosed === true) {
      // The download is being cleared away, so this caller tries again.
      await running.ended;
      return this.#join(repository, digest, joining, place);
    }
    const joinable = joining.isLinked ? running?.fill : undefined;
    const isFirst = running?.isOf(name) !== true;
    if (place === undefined && isFirst && joinable === undefined) {
      const taken = await this.#enter(repository, joining, running);
      // Another caller may have begun the download meanwhile.
      return taken.kind === 'refused' ? taken : this.#join(repository, digest, joining, taken);
    }
    // A fill that the cache cannot store costs one more download than passing the blob on at once.
    if (running === undefined && this.#options.writes.isFailing)
      return this.#bypassCache(repository, digest, joining, place);
    const download = running ?? this.#begin(repository, digest, joining);
    if (joinable !== undefined) place?.[Symbol.dispose]();
    const receive = this.#receive(repository, digest, joining);
    const opened = await (joinable ?? download.open(name, receive, place ?? NO_PLACE));
    const isOwn = isFirst && joinable === undefined && download.filledFor === name;
    return this.#answerOf(opened, { repository, digest, joining, download, isOwn });
  }

  async #answerOf(
    opened: Opened,
    { repository, digest, joining, download, isOwn }: Opening,
  ): Promise<PullOutcome<PulledBlob>> {
    if (opened.kind === 'unwritable') return this.#bypassCache(repository, digest, joining);
    if (opened.kind !== 'ok') return refusalOf(opened, 'BLOB_UNKNOWN');
    if (!isOwn && opened.value.hasFailed) {
      await download.ended;
      return this.#join(repository, digest, joining);
    }
    return { kind: 'found', cache: isOwn ? 'fill' : 'joined', blob: 'filling', fill: opened.value };
  }

  /** Takes a place for a download. A requester that may not begin one can only join another's. */
  async #enter(
    repository: Repository,
    joining: Joining,
    running: Download | undefined,
  ): Promise<FillPlace | PullRefusal> {
    const isFree = running !== undefined || joining.origin !== undefined;
    const refusal = isFree ? undefined : this.whyNoDownload(joining.requester);
    return refusal ?? (await this.#takePlace(repository, joining));
  }

  async #takePlace(
    repository: Repository,
    { requester, signal, late }: Joining,
  ): Promise<FillPlace | PullRefusal> {
    const taken = await this.#placesOf(repository.upstream).take({
      subjectKey: requester.spender.subjectKey,
      signal: AbortSignal.any([late, this.#ending.signal, ...(signal === undefined ? [] : [signal])]),
    });
    // A core that is stopping does not refuse for lack of a place: the next core serves the caller who asks
    // again.
    if (this.#ending.signal.aborted) return typeof taken === 'object' ? taken : NO_PLACE;
    if (taken === 'full') return { kind: 'refused', error: 'TOO_MANY_DOWNLOADS', retryAfter: 1 };
    return taken === 'late' ? { kind: 'refused', error: 'UPSTREAM_TIMEOUT' } : taken;
  }

  #placesOf(upstream: UpstreamHost): FillPlaces {
    const known = this.#places.get(upstream);
    if (known !== undefined) return known;
    const places = new FillPlaces({ onWaiting: () => this.#makePlace(upstream) });
    this.#places.set(upstream, places);
    return places;
  }

  /** Ends one download that nobody reads, if others wait. */
  #makePlace(upstream: UpstreamHost): void {
    if (this.#places.get(upstream)?.isWaitedFor !== true) return;
    for (const [digest, download] of this.#downloads)
      if (this.#upstreams.get(digest) === upstream && download.giveWay()) return;
  }

  #begin({ upstream }: Repository, digest: Digest, { origin }: Joining): Download {
    this.#upstreams.set(digest, upstream);
    const { store, writes, space, log } = this.#options;
    const download = new Download({
      digest,
      begin: () => store.content.begin(digest, { isInObjectStore: origin !== undefined }),
      isLinkedAnywhere: () => store.index.isLinkedAnywhere(digest),
      writes,
      space,
      log,
    });
    const shared = this.#options.sources?.begin(digest);
    if (shared !== undefined) this.#shared.set(digest, shared);
    this.#downloads.set(digest, download);
    void download.ended.then((fill) => {
      if (shared !== undefined) void endShared(shared, fill);
      this.#shared.delete(digest);
      this.#downloads.delete(digest);
      this.#upstreams.delete(digest);
      if (fill !== undefined) this.#ended[fill.hasFailed ? 'broken' : 'whole']++;
    });
    return download;
  }

  /** Gives each caller its own download, because nothing that could be shared can be stored. */
  async #bypassCache(
    repository: Repository,
    digest: Digest,
    joining: Joining,
    taken?: FillPlace,
  ): Promise<PullOutcome<PulledBlob>> {
    const place = taken ?? (await this.#takePlace(repository, joining));
    if (place.kind === 'refused') return place;
    this.#options.writes.passed();
    const receive = this.#receive(repository, digest, joining);
    let first: UpstreamResult<BlobBody> | undefined;
    try {
      first = await receive.open(0, undefined);
    } finally {
      if (first?.kind !== 'ok') place[Symbol.dispose]();
    }
    if (first.kind !== 'ok') return refusalOf(first, 'BLOB_UNKNOWN');
    const body = Readable.from(copies(receiveBlob(first.value, 0, receive)), { objectMode: false });
    body.once('close', () => place[Symbol.dispose]());
    return { kind: 'found', cache: 'bypass', blob: 'bytes', size: first.value.size, body };
  }

  /**
   * Returns how the bytes are received. The core asks with the account's credential, and records what each
   * answer shows about the repository.
   */
  #receive(repository: Repository, digest: Digest, { requester, origin }: Joining): ReceiveOptions {
    const { store, client, budgets, links, limits, clock } = this.#options;
    const upstream: OpenBlob = async (from, size) => {
      const ask = { as: 'account', requester, from, ...(size !== undefined && { size }) } as const;
      // A fill continues even if its callers have left, and so does its opening.
      const answer = await workForAll(() => client.getBlob(repository, digest, ask));
      if (answer.kind === 'denied') {
        await links.learn(repository, 'account', answer);
        await store.index.removeLink(repository.name, digest);
      }
      // A caller with public read access comes here only if the repository is known to be public.
      if (answer.kind === 'ok')
        await store.index.putLink(repository.name, digest, {
          kind: 'blob',
          public: requester.grant === 'public',
          checkedAt: clock(),
        });
      return answer;
    };
    const shared = this.#shared.get(digest);
    const confirm = async () => {
      const known = await links.known(repository, 'blob', digest, requester.grant);
      const access = await links.confirm(repository, 'blob', digest, requester, known);
      return access.kind === 'refused' ? access.answer : ok(access.link);
    };
    const mirrored: OpenBlob =
      shared === undefined ? upstream : (from, size) => shared.open(from, size, { upstream, confirm });
    const open = origin ?? mirrored;
    const onReceived = (bytes: number) => budgets.chargeBytes(requester.spender, bytes);
    const bandwidth = this.#options.bandwidths.get(repository.upstream);
    return { open, onReceived, bandwidth, limits, signal: this.#ending.signal };
  }

  /** Ends the fills under way. Their partial files stay for the next start. */
  abandon(): void {
    this.#ending.abort();
  }

  /** Waits for the fills under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#downloads.values()].map(({ ended }) => ended));
  }
}

/** Ends the part that other nodes have in a download. A node that sent wrong bytes would send them again. */
async function endShared(shared: SharedDownload, fill: Fill | undefined): Promise<void> {
  if (fill?.isWrong === true) await shared.reject();
  await shared[Symbol.asyncDispose]();
}

/** Drops an answer that arrives too late, because nobody reads it. */
function destroyBody(outcome: PullOutcome<PulledBlob>): void {
  if (outcome.kind === 'found' && outcome.blob === 'bytes') outcome.body.destroy();
}

/** Copies the pieces, because a stream keeps them until they are read, and their memory is used again. */
async function* copies(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  for await (const piece of pieces) yield Buffer.from(piece);
}
