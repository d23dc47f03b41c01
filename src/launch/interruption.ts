/**
 * Handles Ctrl-C and SIGTERM while a command works. The first aborts `signal`, so that the command ends in
 * good order; a second ends it at once.
 */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #abort = () => this.#controller.abort();

  constructor() {
    for (const signal of SIGNALS) process.once(signal, this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Does what the first Ctrl-C does. */
  interrupt(): void {
    this.#abort();
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#abort);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
