/** A write whose effect is not known yet. Exactly one of its methods is called. */
export interface PendingWrite<T> {
  /** The write was acknowledged. */
  done(value?: T): void;
  /** The write was refused, so it has changed nothing. */
  refused(): void;
  /** There was no answer, so the write may have an effect until `until`, or none. */
  lost(until: number): void;
}

interface Write<T> {
  value: T;
  readonly from: number;
  until: number;
  isCertain: boolean;
  /** If it is present, the write replaces only this value. */
  readonly replaces?: T;
}

/** Nothing asks about a moment that is further in the past. */
const FORGOTTEN_AFTER = 180_000;

/**
 * A value that several parties write and read at the same time. It knows which values a read may have seen: a
 * write may take effect at any moment between its beginning and its answer.
 */
export class Register<T> {
  #writes: Write<T>[];
  readonly #pending = new WeakMap<PendingWrite<T>, Write<T>>();

  constructor(initial: T) {
    const before = Number.NEGATIVE_INFINITY;
    this.#writes = [{ value: initial, from: before, until: before, isCertain: true }];
  }

  /** Begins a write. With `replaces`, it has an effect only where the value is that one. */
  begin(value: T, replaces?: T): PendingWrite<T> {
    const write: Write<T> = {
      ...{ value, from: performance.now(), until: Number.POSITIVE_INFINITY, isCertain: false },
      ...(replaces !== undefined && { replaces }),
    };
    this.#writes.push(write);
    const pending: PendingWrite<T> = {
      done: (written = value) => {
        write.value = written;
        write.until = performance.now();
        write.isCertain = true;
        this.#forget();
      },
      refused: () => {
        this.#writes = this.#writes.filter((one) => one !== write);
      },
      lost: (until) => {
        write.until = until;
      },
    };
    this.#pending.set(pending, write);
    return pending;
  }

  /** Returns every value that may have been there at a moment between `from` and `to`, but for one write. */
  possible(from: number, to: number, except?: PendingWrite<T>): ReadonlySet<T> {
    const own = except && this.#pending.get(except);
    const seen = this.#notReplaced(from).filter((one) => one.from <= to && one !== own);
    return new Set(seen.map(({ value }) => value));
  }

  /** The beginning and the end of the last acknowledged write that replaces every value. */
  get lastWrite(): { readonly from: number; readonly until: number } | undefined {
    return this.#certain().at(-1);
  }

  /** The beginning of the last such write that has changed the value. */
  get changedAt(): number {
    const certain = this.#certain();
    const same = certain.findLastIndex(({ value }) => value !== certain.at(-1)?.value);
    return certain[same + 1]?.from ?? Number.NEGATIVE_INFINITY;
  }

  #certain(): Write<T>[] {
    const certain = this.#writes.filter((one) => one.isCertain && one.replaces === undefined);
    return certain.toSorted((a, b) => a.from - b.from);
  }

  /** Returns the writes after which no other one has certainly come before `moment`. */
  #notReplaced(moment: number): Write<T>[] {
    const earlier = this.#writes.filter((one) => one.isCertain && one.until < moment);
    const last = latest(earlier.filter((one) => one.replaces === undefined));
    return this.#writes.filter(
      (one) =>
        one.until >= last &&
        one.until >=
          latest(earlier.filter(({ replaces }) => replaces !== undefined && replaces === one.value)),
    );
  }

  #forget(): void {
    this.#writes = this.#notReplaced(performance.now() - FORGOTTEN_AFTER);
  }
}

function latest(writes: readonly Write<unknown>[]): number {
  return writes.reduce((last, { from }) => Math.max(last, from), Number.NEGATIVE_INFINITY);
}
