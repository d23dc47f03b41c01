import { NobodyWaits, throwIfNobodyWaits, Waiters } from './waiters.ts';

interface Flight<T> {
  readonly result: Promise<T>;
  readonly waiters: Waiters;
}

/**
 * Runs one task for a key at a time: a caller that asks for a key whose task is under way gets its result.
 * The task continues as long as one of the callers waits for it.
 */
export class SingleFlight<T> {
  readonly #running = new Map<string, Flight<T>>();
  readonly #isPersonal: (result: T) => boolean;

  /**
   * `isPersonal` tells whether a result is for the first caller alone. The others then ask for themselves.
   */
  constructor(isPersonal: (result: T) => boolean = () => false) {
    this.#isPersonal = isPersonal;
  }

  isRunning(key: string): boolean {
    return this.#running.has(key);
  }

  run(key: string, task: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    return running === undefined ? this.#start(key, task) : this.#join(key, running, task);
  }

  #start(key: string, task: () => Promise<T>): Promise<T> {
    const waiters = new Waiters();
    waiters.join();
    const result = waiters.run(task).finally(() => this.#running.delete(key));
    this.#running.set(key, { result, waiters });
    return result;
  }

  async #join(key: string, { result, waiters }: Flight<T>, task: () => Promise<T>): Promise<T> {
    waiters.join();
    try {
      const joined = await result;
      if (!this.#isPersonal(joined)) return joined;
    } catch (error) {
      if (!(error instanceof NobodyWaits)) throw error;
      // The task was abandoned just before this caller joined.
      throwIfNobodyWaits();
    }
    return this.run(key, task);
  }
}
