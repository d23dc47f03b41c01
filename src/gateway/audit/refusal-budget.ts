/**
 * Bounds the audit lines that a client without an identity can cause, per second, for each address and in
 * total. Further refusals are counted.
 */
import type { Clock } from '../../platform/clock.ts';
import { AUDITED_REFUSALS } from '../limits.ts';

/** Refusals that have no line of their own. */
export interface OmittedRefusals {
  /**
   * The client's address. It is absent if the refusals belong to addresses beyond the number that have their
   * own counts.
   */
  readonly address?: string;
  readonly count: number;
  /** The time of the first of them, in milliseconds since the epoch. */
  readonly since: number;
}

interface RefusalRate {
  /** The sustained number of lines per second. */
  readonly rate: number;
  /** The number of lines that may come at once. */
  readonly burst: number;
}

export class RefusalBudget {
  readonly #clock: Clock;
  readonly #total: Bucket;
  /** The buckets by address. The most recently used bucket is the last one. */
  readonly #buckets = new Map<string, Bucket>();
  #omitted = new Map<string | undefined, { count: number; readonly since: number }>();
  #omittedCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#total = new Bucket(AUDITED_REFUSALS.inTotal, clock());
  }

  /** The number of refusals that were left out. */
  get omitted(): number {
    return this.#omittedCount;
  }

  /** Returns true if a refusal may have its own line. Otherwise it is counted. */
  take(address: string): boolean {
    const now = this.#clock();
    const bucket = this.#buckets.get(address) ?? new Bucket(AUDITED_REFUSALS.ofAddress, now);
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= AUDITED_REFUSALS.maxAddresses) break;
      this.#buckets.delete(oldest);
    }
    if (bucket.has(now) && this.#total.has(now)) {
      bucket.take();
      this.#total.take();
      return true;
    }
    this.#count(address, now);
    return false;
  }

  #count(address: string, now: number): void {
    this.#omittedCount++;
    const key =
      this.#omitted.has(address) || this.#omitted.size < AUDITED_REFUSALS.maxCounted ? address : undefined;
    const known = this.#omitted.get(key);
    if (known === undefined) this.#omitted.set(key, { count: 1, since: now });
    else known.count++;
  }

  /** Returns the refusals that were left out since the last call. */
  takeOmitted(): readonly OmittedRefusals[] {
    const omitted = [...this.#omitted];
    this.#omitted = new Map();
    return omitted.map(([address, counted]) => ({ ...(address !== undefined && { address }), ...counted }));
  }
}

/** A token bucket that fills at a rate, up to a burst. */
class Bucket {
  readonly #rate: RefusalRate;
  #level: number;
  #at: number;

  constructor(rate: RefusalRate, now: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#at = now;
  }

  has(now: number): boolean {
    const elapsed = Math.max(0, now - this.#at) / 1000;
    this.#level = Math.min(this.#rate.burst, this.#level + elapsed * this.#rate.rate);
    this.#at = now;
    return this.#level >= 1;
  }

  take(): void {
    this.#level--;
  }
}
