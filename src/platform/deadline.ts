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
  bound<T>(promise: Promise<T>): Promise<T> {
    return unlessAborted(promise, this.signal);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** What `promise` comes to, or a rejection as soon as `signal` is aborted; what it comes to after that is for `release`. */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  release: (late: T) => void = () => {},
): Promise<T> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const abort = () => {
    promise.then(release, () => {});
    reject(signal.reason);
  };
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, over]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
