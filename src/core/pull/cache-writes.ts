import type { Logger } from '../../platform/log.ts';

/** Knows whether the cache can be written: complains once when it cannot, and says when it can again. */
export class CacheWrites {
  readonly #log: Logger;
  #failing = false;
  #failures = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Answers that could not be cached since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Did the last of them fail? */
  get isFailing(): boolean {
    return this.#failing;
  }

  failed(error: Error): void {
    this.#failures++;
    if (!this.#failing)
      this.#log.error({ error: error.message }, 'the cache cannot be written; serving past it');
    this.#failing = true;
  }

  succeeded(): void {
    if (this.#failing) this.#log.info('the cache can be written again');
    this.#failing = false;
  }
}
