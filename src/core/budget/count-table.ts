import { type CountedBucket, SlidingCount } from './sliding-count.ts';

/** The place of a count in the file. A count of an account has an empty key. */
interface CountPlace {
  readonly kind: 'limit-pulls' | 'limit-bytes' | 'account' | 'pace' | 'subject';
  /** The limit or the account that the count belongs to. */
  readonly owner: string;
  readonly key: string;
}

/** A count as it is stored. Without buckets it is removed from the file. */
export interface StoredCount extends CountPlace {
  readonly windowMs: number;
  readonly buckets: readonly CountedBucket[];
}

/** Counts by key, with the knowledge which of them the file does not have yet. */
export class CountTable {
  readonly #kind: CountPlace['kind'];
  readonly #owner: string;
  readonly #onChange: () => void;
  readonly #counts = new Map<string, SlidingCount>();
  readonly #changed = new Set<string>();

  constructor(kind: CountPlace['kind'], owner: string, onChange: () => void) {
    this.#kind = kind;
    this.#owner = owner;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#counts.size;
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  keys(): Iterable<string> {
    return this.#counts.keys();
  }

  /** Returns the count of `key`, with this window. */
  count(key: string, windowMs: number, now: number): SlidingCount {
    const known = this.#counts.get(key);
    if (known !== undefined) {
      known.resize(windowMs, now);
      return known;
    }
    const count = new SlidingCount(windowMs);
    this.#counts.set(key, count);
    return count;
  }

  total(key: string, now: number): number {
    return this.#counts.get(key)?.total(now) ?? 0;
  }

  /** Returns the largest total of a key. */
  largest(now: number): number {
    let largest = 0;
    for (const count of this.#counts.values()) largest = Math.max(largest, count.total(now));
    return largest;
  }

  add(key: string, windowMs: number, amount: number, now: number): void {
    this.count(key, windowMs, now).add(amount, now);
    this.#change(key);
  }

  takeBack(key: string, amount: number, since: number): void {
    this.#counts.get(key)?.takeBack(amount, since);
    this.#change(key);
  }

  load({ key, windowMs, buckets }: StoredCount): void {
    this.#counts.set(key, new SlidingCount(windowMs, buckets));
  }

  /** Forgets the keys of which nothing is left in their window, unless `isKept`. */
  forgetEmpty(now: number, isKept: (key: string) => boolean = () => false): void {
    for (const [key, count] of this.#counts) {
      if (count.total(now) > 0 || isKept(key)) continue;
      this.#counts.delete(key);
      this.#change(key);
    }
  }

  /** Returns what has changed since it was last stored. */
  changes(): readonly StoredCount[] {
    return Array.from(this.#changed, (key) => {
      const count = this.#counts.get(key);
      const place = { kind: this.#kind, owner: this.#owner, key };
      const buckets = count?.buckets.filter(([, amount]) => amount > 0) ?? [];
      return { ...place, windowMs: count?.windowMs ?? 0, buckets };
    });
  }

  stored(): void {
    this.#changed.clear();
  }

  #change(key: string): void {
    this.#changed.add(key);
    this.#onChange();
  }
}
