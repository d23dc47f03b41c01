import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';

/** Remembers at most so many entries, each for its own time by the given clock; the least used go first. */
export class ExpiringCache<Value extends object> {
  readonly #entries: LRUCache<string, Value>;

  constructor(max: number, clock: Clock) {
    // Every look-up asks the clock anew: lru-cache would otherwise ask at most once a millisecond, by a timer.
    this.#entries = new LRUCache({ max, ttl: 1, perf: { now: clock }, ttlResolution: 0 });
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key);
  }

  /** `lifetime` in milliseconds; nothing is remembered for none. */
  set(key: string, value: Value, lifetime: number): void {
    if (lifetime > 0) this.#entries.set(key, value, { ttl: lifetime });
    else this.#entries.delete(key);
  }

  /** Milliseconds that an entry has left. */
  remaining(key: string): number {
    return Math.max(0, this.#entries.getRemainingTTL(key));
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
