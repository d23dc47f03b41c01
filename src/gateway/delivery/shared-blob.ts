import { DELIVERY } from '../limits.ts';
import type { BlobReader } from './blob-reader.ts';
import type { ChunkCache, SharedChunk } from './chunk-cache.ts';

/** Returned when nothing must be awaited, so that a reader that leaves makes no promise. */
const DONE = Promise.resolve();

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
    return new SharedBlobReader(this.#source, this, this.#chunks.enter(this.#id));
  }

  /** Called when the blob is no longer cached. The file is closed when the last reader has left. */
  release(): void {
    // The file was only read, so a failure to close it loses nothing.
    this.leave().catch(() => {});
  }

  /** Returns to a reader the chunk at `position` if the chunks are shared. */
  chunk(position: number, size: number): SharedChunk | Promise<SharedChunk> | undefined {
    if (!this.#isShared()) return undefined;
    return this.#chunks.takeAt(this.#id, position, size, (buffer, from) =>
      this.#source.read(buffer, from, buffer.length),
    );
  }

  /** A reader calls this once, when it reads no more. */
  leave(): Promise<void> {
    return --this.#users === 0 ? Promise.resolve(this.#source[Symbol.asyncDispose]()) : DONE;
  }

  /** True if the chunks are shared. A blob of one chunk is kept for the next reader. */
  #isShared(): boolean {
    return this.#chunks.isShared(this.#id) || (this.#source.size ?? 0) <= DELIVERY.chunk;
  }
}

/** It is a class, because one object costs less than a function for each method of each reader. */
class SharedBlobReader implements BlobReader {
  readonly filling = false;
  readonly size: number | undefined;
  readonly #source: BlobReader;
  readonly #blob: SharedBlob;
  readonly #leaveChunks: () => void;
  #isOpen = true;

  constructor(source: BlobReader, blob: SharedBlob, leaveChunks: () => void) {
    this.size = source.size;
    this.#source = source;
    this.#blob = blob;
    this.#leaveChunks = leaveChunks;
  }

  available(position: number): number | Promise<number> {
    return this.#source.available(position);
  }

  read(buffer: Buffer, position: number, length: number): Promise<number> {
    return this.#source.read(buffer, position, length);
  }

  chunk(position: number, size: number): SharedChunk | Promise<SharedChunk> | undefined {
    return this.#blob.chunk(position, size);
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return DONE;
    this.#isOpen = false;
    this.#leaveChunks();
    return this.#blob.leave();
  }
}
