import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';

/** The clock may be set back by this many milliseconds before the cache forgets its entries. */
const CLOCK_TOLERANCE = 60_000;

/** Remembers at most so many entries, each for its own time by the given clock; the least used go first. */
export class ExpiringCache<Value extends object> {
  readonly #entries: LRUCache<string, Value>;
  readonly #clock: Clock;
  #latest = Number.NEGATIVE_INFINITY;

  constructor(max: number, clock: Clock) {
    // Every look-up asks the clock anew: lru-cache would otherwise ask at most once a millisecond, by a timer.
    this.#entries = new LRUCache({ max, ttl: 1, perf: { now: clock }, ttlResolution: 0 });
    this.#clock = clock;
  }

  get(key: string): Value | undefined {
    this.#forgetTheFuture();
    return this.#entries.get(key);
  }

  /** `lifetime` in milliseconds; nothing is remembered for none. */
  set(key: string, value: Value, lifetime: number): void {
    this.#forgetTheFuture();
    if (lifetime > 0) this.#entries.set(key, value, { ttl: lifetime });
    else this.#entries.delete(key);
  }

  /** Milliseconds that an entry has left. */
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
