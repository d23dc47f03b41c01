import { DELIVERY } from '../limits.ts';
import type { BlobReader } from './blob-reader.ts';
import type { ChunkCache } from './chunk-cache.ts';

/** A complete blob that several responses read at the same time, from one open file and in shared chunks. */
export class SharedBlob {
  readonly #source: BlobReader;
  readonly #chunks: ChunkCache;
  /** The id of this opening of the blob, because the file may have other bytes when it is opened again. */
  readonly #id: string;
  /** The number of users. The cache that keeps the blob is one of them. */
  #users = 1;

  /** Takes ownership of `source`. */
  constructor(source: BlobReader, chunks: ChunkCache) {
    this.#source = source;
    this.#chunks = chunks;
    this.#id = chunks.newName();
  }

  /** Returns a source for one reader, who disposes of it. */
  open(): BlobReader {
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

  /** Called when the blob is no longer cached. The file is closed when the last reader has left. */
  release(): void {
    // The file was only read, so a failure to close it loses nothing.
    this.#leave().catch(() => {});
  }

  /** True if the chunks are shared. A blob of one chunk is kept for the next reader. */
  #isShared(): boolean {
    return this.#chunks.isShared(this.#id) || (this.#source.size ?? 0) <= DELIVERY.chunk;
  }

  async #leave(): Promise<void> {
    if (--this.#users === 0) await this.#source[Symbol.asyncDispose]();
  }
}
