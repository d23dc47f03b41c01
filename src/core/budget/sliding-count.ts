/** The sub-buckets of a window. The window slides by one of them at a time. */
const SUB_BUCKETS = 24;

/** Returns the time at which a sub-bucket of a window begins. */
export function startOf(bucket: number, windowMs: number): number {
  return bucket * (windowMs / SUB_BUCKETS);
}

/** The number of a sub-bucket since the epoch, and the amount that was counted in it. */
export type CountedBucket = readonly [bucket: number, amount: number];

/** The counts of a window. */
export interface CountedWindow {
  readonly windowMs: number;
  readonly buckets: readonly CountedBucket[];
}

/**
 * Counts what happens in a sliding window. Each amount counts from its own sub-bucket to the 24th after it.
 * So no window of this length ever contains more than `total`, and an amount is forgotten up to one
 * sub-bucket late.
 */
export class SlidingCount {
  #windowMs: number;
  /** The length of a sub-bucket. */
  #width: number;
  /** The sub-buckets in ascending order. One whose amount was taken back can be 0. */
  #buckets: [bucket: number, amount: number][];
  #total = 0;
  /** The counts of the other nodes of a cluster, by their names. */
  #elsewhere: Map<string, SlidingCount> | undefined;

  constructor(windowMs: number, buckets: readonly CountedBucket[] = []) {
    this.#windowMs = windowMs;
    this.#width = windowMs / SUB_BUCKETS;
    this.#buckets = buckets.map(([bucket, amount]) => [bucket, amount]);
    for (const [, amount] of buckets) this.#total += amount;
  }

  get windowMs(): number {
    return this.#windowMs;
  }

  get buckets(): readonly CountedBucket[] {
    return this.#buckets;
  }

  /** Returns what has been counted here and on the other nodes of a cluster. */
  total(now: number): number {
    let total = this.#ownTotal(now);
    if (this.#elsewhere !== undefined)
      for (const count of this.#elsewhere.values()) total += count.total(now);
    return total;
  }

  /** Sets what another node has counted. */
  setElsewhere(node: string, { windowMs, buckets }: CountedWindow, now: number): void {
    const count = new SlidingCount(windowMs, buckets);
    count.resize(this.#windowMs, now);
    this.#elsewhere ??= new Map();
    this.#elsewhere.set(node, count);
  }

  #ownTotal(now: number): number {
    const current = this.#bucketAt(now);
    const [first] = this.#buckets;
    if (first === undefined) return 0;
    if (first[0] < current - SUB_BUCKETS) this.#forget(current);
    // The clock was set back: an amount from the future would count for too long.
    if ((this.#buckets.at(-1)?.[0] ?? current) > current) this.#moveTo(this.#buckets, now);
    return this.#total;
  }

  add(amount: number, now: number): void {
    this.#ownTotal(now);
    const current = this.#bucketAt(now);
    const last = this.#buckets.at(-1);
    if (last?.[0] === current) last[1] += amount;
    else this.#buckets.push([current, amount]);
    this.#total += amount;
  }

  /** Takes back an amount that was added at `since`, unless the window has left it behind. */
  takeBack(amount: number, since: number): void {
    const bucket = this.#bucketAt(since);
    const found = this.#buckets.findLast(([one]) => one <= bucket);
    if (found === undefined) return;
    const taken = Math.min(amount, found[1]);
    found[1] -= taken;
    this.#total -= taken;
  }

  /** Returns the time at which what has been counted so far falls to `most` or less. */
  fallsToAt(most: number, now: number): number {
    let rest = this.total(now);
    let at = now;
    for (const [bucket, amount] of this.#allBuckets()) {
      if (rest <= most) break;
      rest -= amount;
      at = this.forgottenAt(bucket);
    }
    return at;
  }

  #allBuckets(): readonly CountedBucket[] {
    if (this.#elsewhere === undefined) return this.#buckets;
    const others = [...this.#elsewhere.values()].flatMap(({ buckets }) => buckets);
    return [...this.#buckets, ...others].sort(([a], [b]) => a - b);
  }

  /** Returns the time at which a sub-bucket no longer counts. */
  forgottenAt(bucket: number): number {
    return Math.ceil((bucket + SUB_BUCKETS + 1) * this.#width);
  }

  /** Changes the length of the window. What was counted stays, and counts for no longer than it must. */
  resize(windowMs: number, now: number): void {
    if (windowMs === this.#windowMs) return;
    if (this.#elsewhere !== undefined)
      for (const count of this.#elsewhere.values()) count.resize(windowMs, now);
    const ends = this.#buckets.map(([bucket, amount]) => [(bucket + 1) * this.#width - 1, amount] as const);
    this.#windowMs = windowMs;
    this.#width = windowMs / SUB_BUCKETS;
    this.#moveTo(
      ends.map(([end, amount]) => [this.#bucketAt(Math.min(end, now)), amount]),
      now,
    );
  }

  #forget(current: number): void {
    const kept = this.#buckets.findIndex(([bucket]) => bucket >= current - SUB_BUCKETS);
    const forgotten = this.#buckets.splice(0, kept < 0 ? this.#buckets.length : kept);
    for (const [, amount] of forgotten) this.#total -= amount;
  }

  /** Counts everything again, with what is later than `now` as of now. */
  #moveTo(buckets: readonly CountedBucket[], now: number): void {
    const current = this.#bucketAt(now);
    const sums = new Map<number, number>();
    for (const [bucket, amount] of buckets) {
      const moved = Math.min(bucket, current);
      sums.set(moved, (sums.get(moved) ?? 0) + amount);
    }
    this.#buckets = [...sums].sort(([a], [b]) => a - b);
  }

  #bucketAt(time: number): number {
    return Math.floor(time / this.#width);
  }
}
