/** A value that changes, and tells when it does: asked for whenever it is needed, never kept. */
export interface Live<T> {
  readonly current: T;
  /** Resolves when there is another one. */
  changed(): Promise<void>;
}

/** The side of it that sets the value. */
export class LiveValue<T> implements Live<T> {
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
