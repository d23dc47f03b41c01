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

/** A count of a table. */
export interface TableEntry {
  readonly key: string;
  readonly count: SlidingCount;
  /** True if the file does not have it yet. */
  isChanged: boolean;
}

/** Counts by key, with the knowledge which of them the file does not have yet. */
export class CountTable {
  readonly #kind: CountPlace['kind'];
  readonly #owner: string;
  readonly #onChange: () => void;
  readonly #entries = new Map<string, TableEntry>();
  readonly #changed = new Set<TableEntry>();

  constructor(kind: CountPlace['kind'], owner: string, onChange: () => void) {
    this.#kind = kind;
    this.#owner = owner;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  find(key: string): TableEntry | undefined {
    return this.#entries.get(key);
  }

  /** Returns the entry of `key`, with this window. */
  entry(key: string, windowMs: number, now: number): TableEntry {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.count.resize(windowMs, now);
      return known;
    }
    const entry: TableEntry = { key, count: new SlidingCount(windowMs), isChanged: false };
    this.#entries.set(key, entry);
    return entry;
  }

  /** Returns the count of `key`, with this window. */
  count(key: string, windowMs: number, now: number): SlidingCount {
    return this.entry(key, windowMs, now).count;
  }

  total(key: string, now: number): number {
    return this.#entries.get(key)?.count.total(now) ?? 0;
  }

  /** Returns the largest total of a key. */
  largest(now: number): number {
    let largest = 0;
    for (const { count } of this.#entries.values()) largest = Math.max(largest, count.total(now));
    return largest;
  }

  add(entry: TableEntry, amount: number, now: number): void {
    entry.count.add(amount, now);
    this.#change(entry);
  }

  takeBack(entry: TableEntry, amount: number, since: number): void {
    // Its window may have left the whole entry behind meanwhile.
    if (this.#entries.get(entry.key) !== entry) return;
    entry.count.takeBack(amount, since);
    this.#change(entry);
  }

  load({ key, windowMs, buckets }: StoredCount): void {
    this.#entries.set(key, { key, count: new SlidingCount(windowMs, buckets), isChanged: false });
  }

  /** Sets what another node of a cluster has counted. */
  loadElsewhere(node: string, row: StoredCount, now: number): void {
    const known = this.#entries.get(row.key);
    // A key that only other nodes count is not stored here.
    const entry = known ?? { key: row.key, count: new SlidingCount(row.windowMs), isChanged: false };
    if (known === undefined) this.#entries.set(row.key, entry);
    entry.count.setElsewhere(node, row, now);
  }

  /** Forgets the keys of which nothing is left in their window, unless `isKept`. */
  forgetEmpty(now: number, isKept: (key: string) => boolean = () => false): void {
    for (const [key, entry] of this.#entries) {
      if (entry.count.total(now) > 0 || isKept(key)) continue;
      this.#entries.delete(key);
      this.#change(entry);
    }
  }

  /** Returns what has changed since it was last stored. */
  changes(): readonly StoredCount[] {
    return Array.from(this.#changed, ({ key, count }) => {
      const place = { kind: this.#kind, owner: this.#owner, key };
      const isForgotten = this.#entries.get(key)?.count !== count;
      const buckets = isForgotten ? [] : count.buckets.filter(([, amount]) => amount > 0);
      return { ...place, windowMs: count.windowMs, buckets };
    });
  }

  stored(): void {
    for (const entry of this.#changed) entry.isChanged = false;
    this.#changed.clear();
  }

  #change(entry: TableEntry): void {
    if (entry.isChanged) return;
    entry.isChanged = true;
    this.#changed.add(entry);
    this.#onChange();
  }
}
