/** Thrown to whoever waits beyond a deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** A bound on everything that one question takes. Disposing of it lifts the bound: what goes on after goes on unbounded. */
export class Deadline implements Disposable {
  /** Aborted when the time is over, with a `DeadlineError`. */
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  constructor(milliseconds: number) {
    const controller = new AbortController();
    this.signal = controller.signal;
    this.#timer = setTimeout(() => controller.abort(new DeadlineError()), milliseconds);
  }

  /** What `promise` comes to, or a rejection when the time is over; `promise` then goes on for others who wait for it. */
  async bound<T>(promise: Promise<T>): Promise<T> {
    const { promise: over, reject } = Promise.withResolvers<never>();
    const abort = () => reject(this.signal.reason);
    this.signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([promise, over]);
    } finally {
      this.signal.removeEventListener('abort', abort);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
