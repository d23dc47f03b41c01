import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.ts';
import { type PolledValue, pollValue } from '../../platform/ipc/long-poll-client.ts';
import type { Logger } from '../../platform/log.ts';
import type { CachedRepositories, UpstreamCost } from '../../protocol/core-api.ts';
import { formatReference } from '../../registry/reference.ts';
import { type RepositoryRoute, resourceOf } from '../../registry/route.ts';
import type { ChunkCache } from '../delivery/chunk-cache.ts';
import { SharedBlob } from '../delivery/shared-blob.ts';
import { ANSWER_CACHE } from '../limits.ts';
import type { CoreAnswer, CoreClient, PullOptions } from './core-client.ts';
import { HitReporter } from './hit-reporter.ts';
import type { CacheableCoreClient } from './local-core-client.ts';

export interface CachingCoreOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly chunks: ChunkCache;
  /** The most cached blobs that stay open. */
  readonly blobs: number;
}

/** The cost of a cache hit. */
const NO_COST: UpstreamCost = { upstreamRequests: 0, countedPulls: 0 };

type CachedManifest = CoreAnswer & { readonly kind: 'manifest' };
/** The routes whose answers are cached. */
type CacheableRoute = RepositoryRoute & { readonly kind: 'manifest' | 'blob' };

/** Caches the small answers of a core for their max age, because a request costs more than its answer. */
export async function cacheAnswers(
  core: CacheableCoreClient,
  { log, ...options }: CachingCoreOptions,
): Promise<CoreClient> {
  const first = { etag: '', value: '' };
  const generation = await pollValue((options) => core.generation(options), { name: 'the core', log, first });
  return new CachingCoreClient(core, generation, options);
}

class CachingCoreClient implements CoreClient {
  readonly #core: CacheableCoreClient;
  readonly #generation: PolledValue<string>;
  readonly #chunks: ChunkCache;
  readonly #reports: HitReporter;
  readonly #manifests: LRUCache<string, CachedManifest>;
  readonly #blobs: LRUCache<string, SharedBlob>;
  /**
   * The requests that were sent to the core. Each promise resolves to `look again` when its request is
   * answered, or after a moment, when whoever waits asks the core itself; and to `given up` if the client has
   * gone.
   */
  readonly #asking = new Map<string, Promise<'look again' | 'given up'>>();
  /** The cache generation that the entries belong to. */
  #cachedIn = '';

  constructor(
    core: CacheableCoreClient,
    generation: PolledValue<string>,
    { clock, chunks, blobs }: Omit<CachingCoreOptions, 'log'>,
  ) {
    this.#core = core;
    this.#generation = generation;
    this.#chunks = chunks;
    this.#reports = new HitReporter(core);
    // Every lookup reads the clock again. By default lru-cache reads it at most once a millisecond, and uses
    // a timer.
    const lifetimes = { ttl: 1, perf: { now: clock }, ttlResolution: 0 };
    this.#manifests = new LRUCache({
      ...lifetimes,
      maxSize: ANSWER_CACHE.maxSize,
      sizeCalculation: ({ bytes }) => ANSWER_CACHE.entrySize + (bytes?.length ?? 0),
    });
    this.#blobs = new LRUCache({ ...lifetimes, max: blobs, dispose: (blob) => blob.release() });
  }

  async pull(route: RepositoryRoute, options: PullOptions): Promise<CoreAnswer> {
    if (route.kind !== 'manifest' && route.kind !== 'blob') return this.#core.pull(route, options);
    const key = keyOf(route, options);
    let cached = this.#find(key);
    const asking = this.#asking.get(key);
    if (cached === undefined && asking !== undefined) {
      // Requests that come together for the same thing send one request, and read one opening of a blob in
      // the same chunks.
      if ((await asking) === 'given up') return this.pull(route, options);
      cached = this.#find(key);
    }
    if (cached === undefined) return this.#ask(key, route, options);
    return { ...cached, accounting: { pull: this.#report(route, options, cached), cost: NO_COST } };
  }

  async #ask(key: string, route: CacheableRoute, options: PullOptions): Promise<CoreAnswer> {
    const { promise, resolve } = Promise.withResolvers<'look again' | 'given up'>();
    const late = setTimeout(resolve, ANSWER_CACHE.joinFor, 'look again');
    this.#asking.set(key, promise);
    try {
      await this.#reports.flushed();
      return this.#store(key, await this.#core.pull(route, options));
    } finally {
      clearTimeout(late);
      this.#asking.delete(key);
      resolve(options.signal?.().aborted ? 'given up' : 'look again');
    }
  }

  #find(key: string): CoreAnswer | undefined {
    this.#clearIfInvalidated();
    const manifest = this.#manifests.get(key);
    if (manifest !== undefined) return manifest;
    const blob = this.#blobs.get(key);
    return blob && { kind: 'blob', cache: 'hit', source: blob.open() };
  }

  #store(key: string, answer: CoreAnswer): CoreAnswer {
    if ((answer.kind !== 'manifest' && answer.kind !== 'blob') || answer.lifetime === undefined)
      return answer;
    this.#clearIfInvalidated();
    const { generation, maxAgeMs: ttl } = answer.lifetime;
    // An answer that was found before an invalidation may be the one that was invalidated.
    if (generation !== this.#cachedIn) return answer;
    if (answer.kind === 'manifest') {
      // An earlier manifest is for a subject that has used up its quota, and not for the others.
      if (answer.held !== undefined) return answer;
      const { accounting: _, ...manifest } = answer;
      if (answer.size <= ANSWER_CACHE.maxManifest) this.#manifests.set(key, manifest, { ttl });
      return answer;
    }
    const blob = new SharedBlob(answer.source, this.#chunks);
    const source = blob.open();
    this.#blobs.set(key, blob, { ttl });
    return { ...answer, source };
  }

  #clearIfInvalidated(): void {
    if (this.#generation.current === this.#cachedIn) return;
    this.#manifests.clear();
    this.#blobs.clear();
    this.#cachedIn = this.#generation.current;
  }

  /** Reports a cache hit. Resolves to the id of the pull that it belongs to. */
  #report(
    route: CacheableRoute,
    { method, caller = '' }: PullOptions,
    answer: CoreAnswer,
  ): Promise<string | undefined> {
    const { kind } = route;
    const { upstream, path } = route.repository;
    const asked =
      kind === 'blob'
        ? { reference: route.digest, digest: route.digest }
        : { reference: formatReference(route.reference), digest: (answer as CachedManifest).digest };
    return this.#reports.add({ caller, upstream, path, kind, method, ...asked });
  }

  repositories(client: Pick<PullOptions, 'share' | 'signal'>): Promise<CachedRepositories | undefined> {
    return this.#core.repositories(client);
  }

  metrics(): ReturnType<CoreClient['metrics']> {
    return this.#core.metrics();
  }

  status(): Promise<object> {
    return this.#core.status();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#generation[Symbol.dispose]();
    this.#manifests.clear();
    this.#blobs.clear();
    await this.#reports[Symbol.asyncDispose]();
    await this.#core[Symbol.asyncDispose]();
  }
}

/** The key contains the read access, because public and private access lead to different answers. */
function keyOf(route: RepositoryRoute, { method, private: reachesPrivate }: PullOptions): string {
  return `${reachesPrivate ? 'private' : 'public'} ${method} ${route.repository.name} ${resourceOf(route)}`;
}
