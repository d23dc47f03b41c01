import { DeadlineError } from './deadline.ts';

export interface QueueLimits {
  /** The tasks that run at a time, in total and for one caller. */
  readonly concurrent: number;
  readonly concurrentEach: number;
  /** The tasks that may wait, in total and for one caller. */
  readonly waiting: number;
  readonly waitingEach: number;
}

export interface QueueOptions<T = unknown> {
  /** The longest wait in milliseconds. */
  readonly deadline: number;
  /**
   * The milliseconds for which the place of the caller stays occupied after this result. It costs no other
   * caller anything, and bounds how often one caller gets such a result.
   */
  readonly restAfter?: ((result: T) => number) | undefined;
  /** Aborted when nobody wants the task any more. The task is then not begun. */
  readonly signal?: AbortSignal | undefined;
}

/** Thrown at once to a caller for whom the queue has no place. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';
}

interface Caller {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * Runs a limited number of tasks at a time. The callers whose tasks wait take turns, so a caller with many
 * tasks delays only itself.
 */
export class FairQueue {
  readonly #limits: QueueLimits;
  readonly #callers = new Map<string, Caller>();
  /** The callers whose next task may begin, in the order of their turns. */
  readonly #turns = new Set<Caller>();
  #running = 0;
  #waiting = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @throws QueueFullError if too many wait already, DeadlineError after the deadline, and the reason of
   * `signal` if it is aborted before the task has begun
   */
  async run<T>(key: string, options: QueueOptions<T>, task: () => Promise<T>): Promise<T> {
    options.signal?.throwIfAborted();
    const caller = this.#callers.get(key) ?? { running: 0, waiting: [] };
    this.#callers.set(key, caller);
    if (this.#mayBegin(caller)) this.#begin(caller);
    else await this.#wait(caller, options);
    let rest = 0;
    try {
      const result = await task();
      rest = options.restAfter?.(result) ?? 0;
      return result;
    } finally {
      // While a caller rests, its own place stays taken, and its place among all is free.
      this.#running--;
      if (rest > 0) setTimeout(() => this.#end(key, caller), rest).unref();
      else this.#end(key, caller);
      this.#beginNext();
    }
  }

  #mayBegin({ running, waiting }: Caller): boolean {
    const { concurrent, concurrentEach } = this.#limits;
    return this.#running < concurrent && running < concurrentEach && waiting.length === 0;
  }

  #begin(caller: Caller): void {
    this.#running++;
    caller.running++;
  }

  #wait(caller: Caller, { deadline, signal }: Omit<QueueOptions, 'restAfter'>): Promise<void> {
    const { waiting, waitingEach } = this.#limits;
    if (this.#waiting >= waiting || caller.waiting.length >= waitingEach) throw new QueueFullError();
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(late);
        signal?.removeEventListener('abort', abort);
        this.#waiting--;
      };
      const begin = () => {
        leave();
        this.#begin(caller);
        resolve();
      };
      const giveUp = (reason: unknown) => {
        leave();
        caller.waiting.splice(caller.waiting.indexOf(begin), 1);
        this.#line(caller);
        reject(reason);
      };
      const abort = () => giveUp(signal?.reason);
      const late = setTimeout(() => giveUp(new DeadlineError()), deadline);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting++;
      caller.waiting.push(begin);
      this.#line(caller);
    });
  }

  /** Frees a place of a caller. */
  #end(key: string, caller: Caller): void {
    caller.running--;
    this.#line(caller);
    if (caller.running === 0 && caller.waiting.length === 0) this.#callers.delete(key);
    this.#beginNext();
  }

  #beginNext(): void {
    for (const next of this.#turns) {
      if (this.#running >= this.#limits.concurrent) break;
      // From now on this caller is the last one in the order.
      this.#turns.delete(next);
      next.waiting.shift()?.();
      this.#line(next);
    }
  }

  /** Adds a caller to the order of those who may begin, or removes it. */
  #line(caller: Caller): void {
    const isReady = caller.waiting.length > 0 && caller.running < this.#limits.concurrentEach;
    if (isReady) this.#turns.add(caller);
    else this.#turns.delete(caller);
  }
}
