/**
 * A value that changes over time, and for how long after a change the earlier value may still be in force.
 */
export class Timeline<T> {
  readonly #entries: { readonly from: number; until: number; readonly value: T }[];

  constructor(value: T) {
    this.#entries = [{ from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY, value }];
  }

  get current(): T {
    return (this.#entries.at(-1) as { value: T }).value;
  }

  /** The monotonic time at which the last change began. */
  get changedAt(): number {
    return this.#entries.at(-1)?.from ?? 0;
  }

  /** Records that `value` may be in force from now on, because its change begins now. */
  begin(value: T): void {
    this.#entries.push({ from: performance.now(), until: Number.POSITIVE_INFINITY, value });
  }

  /**
   * Records that no earlier value may be in force after `grace` milliseconds, because the change is complete.
   */
  complete(grace: number): void {
    const end = performance.now() + grace;
    for (const entry of this.#entries.slice(0, -1)) entry.until = Math.min(entry.until, end);
  }

  /**
   * Lengthens the time of values that were replaced less than `recent` milliseconds ago, because a role was
   * killed.
   */
  excuse(recent: number, grace: number): void {
    const now = performance.now();
    for (const entry of this.#entries.slice(0, -1))
      if (entry.until > now - recent) entry.until = Math.max(entry.until, now + grace);
  }

  /** Returns every value that may have been in force at a moment between `from` and `to`. */
  during(from: number, to: number): T[] {
    return this.#entries.filter((entry) => entry.from <= to && entry.until >= from).map(({ value }) => value);
  }
}
