import type { BlobSource } from './blob-source.ts';
import { CHUNK, type ChunkCache } from './chunk-cache.ts';

let count = 0;

/** A whole blob that several read at the same time, from one open file and in chunks that they share. */
export class SharedBlob {
  readonly #source: BlobSource;
  readonly #chunks: ChunkCache;
  /** Of this opening of it: the file may have other bytes when it is opened again. */
  readonly #id = `blob ${count++}`;
  /** Whoever remembers it is one. */
  #users = 1;

  /** Takes over `source`. */
  constructor(source: BlobSource, chunks: ChunkCache) {
    this.#source = source;
    this.#chunks = chunks;
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
      chunk: (position, size) =>
        this.#isShared()
          ? this.#chunks.takeAt(this.#id, position, size, (buffer, from) =>
              source.read(buffer, from, buffer.length),
            )
          : undefined,
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

  /** For one alone a buffer that is used again and again costs less than chunks that are kept; but for a small blob they cost nothing. */
  #isShared(): boolean {
    return this.#users > 2 || (this.#source.size ?? 0) <= CHUNK;
  }

  async #leave(): Promise<void> {
    if (--this.#users === 0) await this.#source[Symbol.asyncDispose]();
  }
}
