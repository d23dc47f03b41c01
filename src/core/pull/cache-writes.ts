import type { Logger } from '../../platform/log.ts';
import { asError } from '../../platform/reason.ts';

export interface CacheWritesOptions {
  /** Writes a file to the cache and removes it. Rejects if that fails. */
  readonly probe: () => Promise<void>;
  /** Milliseconds from a failure to the next probe. */
  readonly probeEvery: number;
  readonly log: Logger;
}

/**
 * Knows whether the cache can be written. After the first failure nothing is written to the cache except a
 * periodic probe, because each download that cannot be written has to be repeated past the cache. Only a
 * successful probe ends that, because a small write can succeed on a disk that is too full for a blob.
 */
export class CacheWrites implements AsyncDisposable {
  readonly #options: CacheWritesOptions;
  #failure: string | undefined;
  #unwritten = 0;
  #timer: NodeJS.Timeout | undefined;
  #probing: Promise<void> = Promise.resolve();
  #isDisposed = false;

  constructor(options: CacheWritesOptions) {
    this.#options = options;
  }

  /** The number of answers that could not be cached since the start. */
  get unwritten(): number {
    return this.#unwritten;
  }

  /**
   * The reason why the cache cannot be written, for example `ENOSPC: no space left on device, write`.
   * Undefined if it can.
   */
  get failure(): string | undefined {
    return this.#failure;
  }

  get isFailing(): boolean {
    return this.#failure !== undefined;
  }

  /** Counts an answer that is not cached. */
  passed(): void {
    this.#unwritten++;
  }

  failed(error: Error): void {
    if (this.#failure === undefined)
      this.#options.log.error(
        { err: error },
        'the cache cannot be written: nothing more is cached, and each client gets its own download',
      );
    this.#failure = error.message;
    this.#probeLater();
  }

  #probeLater(): void {
    // A further failure does not delay the probe.
    if (this.#isDisposed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#probing = this.#probe();
    }, this.#options.probeEvery).unref();
  }

  async #probe(): Promise<void> {
    try {
      await this.#options.probe();
    } catch (error) {
      return this.failed(asError(error));
    }
    this.#failure = undefined;
    this.#options.log.info('the cache can be written again');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    await this.#probing;
  }
}
