/** An observable value. Callers read it whenever they need it, and never store it. */
export interface ObservableValue<T> {
  readonly current: T;
  /** Resolves when the value has changed. */
  changed(): Promise<void>;
}

/** The side that sets the value. */
export class MutableValue<T> implements ObservableValue<T> {
  #current: T;
  #changed = Promise.withResolvers<void>();

  constructor(first: T) {
    this.#current = first;
  }

  get current(): T {
    return this.#current;
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }

  set(value: T): void {
    this.#current = value;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
