import type { BlobSource } from './blob-source.ts';
import type { ChunkCache } from './chunk-cache.ts';
import { CHUNK } from './spare-buffers.ts';

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
    const leave = this.#chunks.enter(this.#id);
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
        if (!isOpen) return;
        isOpen = false;
        leave();
        await this.#leave();
      },
    };
  }

  /** It is remembered no longer: the file is closed when the last reader has left. */
  release(): void {
    // A file that was only read from: that it cannot be closed loses nothing.
    this.#leave().catch(() => {});
  }

  /** A blob of one chunk is kept for whoever comes next. */
  #isShared(): boolean {
    return this.#chunks.isShared(this.#id) || (this.#source.size ?? 0) <= CHUNK;
  }

  async #leave(): Promise<void> {
    if (--this.#users === 0) await this.#source[Symbol.asyncDispose]();
  }
}
