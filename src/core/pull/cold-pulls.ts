/** The pulls of manifests that are not cached. A requester that may not begin one can wait for another's. */
export class ColdPulls {
  readonly #running = new Map<string, Promise<void>>();

  async run<T>(key: string, pull: () => Promise<T>): Promise<T> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#running.set(key, ended);
    try {
      return await pull();
    } finally {
      if (this.#running.get(key) === ended) this.#running.delete(key);
      end();
    }
  }

  /** Resolves when the pull that is under way has ended. Undefined if there is none. */
  ended(key: string): Promise<void> | undefined {
    return this.#running.get(key);
  }
}
