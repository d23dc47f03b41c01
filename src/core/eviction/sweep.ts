import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import { formatSize } from '../../platform/size.ts';
import type { Store } from '../store/store.ts';
import type { CacheLimit } from './cache-limit.ts';
import { type EvictionRules, planEviction } from './eviction.ts';

export interface SweepOptions extends Pick<EvictionRules, 'unusedFor'> {
  readonly store: Store;
  readonly limit: Pick<CacheLimit, 'bytes'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEvicted: (evicted: Evicted) => void;
  /** Milliseconds between two sweeps. */
  readonly interval: number;
  /** Milliseconds from a publication to the next sweep. */
  readonly afterGrowth: number;
}

export interface Evicted {
  readonly blobs: number;
  readonly bytes: number;
}

export interface Sweep extends AsyncDisposable {
  /** Evicts at once until `room` more bytes fit. */
  now(room?: number): Promise<void>;
}

/** The most blobs that are read from the index at a time. */
const BATCH = 100;
/** The milliseconds between two warnings that the cache is too small. */
const WARN_EVERY = 3_600_000;

/** Evicts content periodically by the rules. A file that is being read stays readable for its readers. */
export function sweep(options: SweepOptions): Sweep {
  return new CacheSweep(options);
}

class CacheSweep implements Sweep {
  readonly #options: SweepOptions;
  readonly #stop = new AbortController();
  readonly #periodic: AsyncDisposable;
  #sweeping: Promise<void> = Promise.resolve();
  #soon: NodeJS.Timeout | undefined;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #isFailing = false;

  constructor(options: SweepOptions) {
    this.#options = options;
    const { store, interval, log } = options;
    store.content.onPublished = () => this.#sweepSoon();
    this.#periodic = runPeriodically(interval, () => this.now().then(() => undefined), log);
  }

  now(room = 0): Promise<void> {
    this.#sweeping = this.#sweeping.then(() => this.#sweep(room));
    return this.#sweeping;
  }

  /** Schedules a sweep soon, because within a minute a busy cache can exceed its limit by far. */
  #sweepSoon(): void {
    if (this.#stop.signal.aborted) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.now();
    }, this.#options.afterGrowth).unref();
  }

  async #sweep(room: number): Promise<void> {
    const { log, onEvicted } = this.#options;
    if (this.#stop.signal.aborted) return;
    try {
      const evicted = await this.#evict(room);
      onEvicted(evicted);
      if (evicted.blobs > 0) log.info(evicted, 'evicted');
      this.#isFailing = false;
    } catch (error) {
      // This is logged once, because on a read-only disk it fails every time.
      if (!this.#isFailing) log.error({ err: error }, 'nothing can be evicted');
      this.#isFailing = true;
    }
  }

  async #evict(room: number): Promise<Evicted> {
    const { store, clock, limit, unusedFor } = this.#options;
    await store.content.flushUses();
    const [{ bytes }, maxSize] = await Promise.all([store.index.stats(), limit.bytes()]);
    const total = bytes + room;
    const plan = planEviction(total, clock(), { maxSize, unusedFor });
    const evicted = { blobs: 0, bytes: 0 };
    await this.#evictUntil(plan.unusedBefore, evicted, Number.POSITIVE_INFINITY);
    await this.#evictUntil(plan.unused.before, evicted, plan.unused.bytes);
    const isTooSmall = total - evicted.bytes > maxSize;
    if (isTooSmall) {
      await this.#evictUntil(plan.inUse.before, evicted, plan.inUse.bytes);
      if (total - evicted.bytes > maxSize) this.#sweepSoon();
    }
    this.#warnIfTooSmall(isTooSmall, maxSize);
    return evicted;
  }

  /**
   * Warns when the cache becomes too small, at most once an hour, because a busy cache becomes so every few
   * seconds.
   */
  #warnIfTooSmall(isTooSmall: boolean, maxSize: number): void {
    const now = this.#options.clock();
    if (isTooSmall && Math.abs(now - this.#warnedAt) >= WARN_EVERY) {
      this.#warnedAt = now;
      this.#options.log.warn(
        { maxSize: formatSize(maxSize) },
        'what was used within the last minute is larger than the cache may be, so it is evicted and downloaded again; raise cache.maxSize or enlarge the disk',
      );
    }
  }

  async #evictUntil(
    before: number,
    evicted: { blobs: number; bytes: number },
    enough: number,
  ): Promise<void> {
    const { store } = this.#options;
    const isEnough = () => this.#stop.signal.aborted || evicted.bytes >= enough;
    let first: string | undefined;
    while (!isEnough()) {
      const batch = await store.index.unusedSince(before, BATCH);
      // An index that cannot be written lists evicted content again and again.
      if (batch.length === 0 || batch[0]?.digest === first) return;
      first = batch[0]?.digest;
      for (const { digest, size } of batch) {
        if (isEnough()) return;
        await store.content.remove(digest);
        evicted.blobs++;
        evicted.bytes += size;
      }
      if (batch.length < BATCH) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#soon);
    await this.#periodic[Symbol.asyncDispose]();
    await this.#sweeping;
  }
}
