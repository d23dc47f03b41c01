import type { BlobSource } from './blob-source.ts';

/** A whole blob that several read at the same time, from one open file. */
export class SharedBlob {
  readonly #source: BlobSource;
  /** Whoever remembers it is one. */
  #users = 1;

  /** Takes over `source`. */
  constructor(source: BlobSource) {
    this.#source = source;
  }

  /** For one reader, who disposes of it. */
  open(): BlobSource {
    this.#users++;
    const source = this.#source;
    let isOpen = true;
    return {
      filling: false,
      size: source.size,
      available: (position) => source.available(position),
      read: (buffer, position, length) => source.read(buffer, position, length),
      [Symbol.asyncDispose]: async () => {
        if (isOpen) await this.#leave();
        isOpen = false;
      },
    };
  }

  /** It is remembered no longer: the file is closed when the last reader has left. */
  release(): void {
    // A file that was only read from: that it cannot be closed loses nothing.
    this.#leave().catch(() => {});
  }

  async #leave(): Promise<void> {
    if (--this.#users === 0) await this.#source[Symbol.asyncDispose]();
  }
}
