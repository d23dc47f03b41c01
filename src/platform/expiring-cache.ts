import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';

/** The milliseconds by which the clock may be set back before the cache forgets its entries. */
const CLOCK_TOLERANCE = 60_000;

/**
 * Caches at most a certain number of entries, each for its own time by the given clock. The least recently
 * used are evicted first.
 */
export class ExpiringCache<Value extends object> {
  readonly #entries: LRUCache<string, Value>;
  readonly #clock: Clock;
  #latest = Number.NEGATIVE_INFINITY;

  constructor(max: number, clock: Clock) {
    this.#entries = new LRUCache({
      // With `max`, lru-cache would at once allocate memory for that many entries.
      ...{ maxSize: max, sizeCalculation: () => 1 },
      // Every look-up asks the clock. Otherwise lru-cache would use a timer and ask at most once in a
      // millisecond.
      ...{ ttl: 1, perf: { now: clock }, ttlResolution: 0 },
    });
    this.#clock = clock;
  }

  get(key: string): Value | undefined {
    this.#forgetTheFuture();
    return this.#entries.get(key);
  }

  /** @param lifetime in milliseconds; if it is not positive, the value is not cached */
  set(key: string, value: Value, lifetime: number): void {
    this.#forgetTheFuture();
    if (lifetime > 0) this.#entries.set(key, value, { ttl: lifetime });
    else this.#entries.delete(key);
  }

  /** Returns how many milliseconds an entry has left. */
  remaining(key: string): number {
    this.#forgetTheFuture();
    return Math.max(0, this.#entries.getRemainingTTL(key));
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /**
   * Forgets all entries if a clock that was ahead is set back, because they would otherwise live longer by
   * the difference.
   */
  #forgetTheFuture(): void {
    const now = this.#clock();
    if (now < this.#latest - CLOCK_TOLERANCE) this.#entries.clear();
    this.#latest = now;
  }
}
