/** Thrown when a wait exceeds its deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/**
 * A limit on the total time of one request. Disposing of it lifts the limit for what continues afterwards.
 */
export class Deadline implements Disposable {
  /** Aborted with a `DeadlineError` when the time is over. */
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  constructor(milliseconds: number) {
    const controller = new AbortController();
    this.signal = controller.signal;
    this.#timer = setTimeout(() => controller.abort(new DeadlineError()), milliseconds);
  }

  /**
   * Settles as `promise` does, or rejects when the time is over; `promise` then continues for others who wait
   * for it.
   */
  bound<T>(promise: Promise<T>): Promise<T> {
    return unlessAborted(promise, this.signal);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Settles as `promise` does, or rejects as soon as `signal` is aborted. A result that comes later is passed
 * to `release`.
 */
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
