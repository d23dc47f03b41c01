import { LRUCache } from 'lru-cache';
import { giveBack, takeBuffer } from './spare-buffers.ts';

/** Bytes of a blob that several responses may be sending at the same time. Not to be written to. */
export interface SharedChunk {
  readonly bytes: Buffer;
  /** To be called once, when they are sent. */
  release(): void;
}

/** Reads from the disk into `buffer`: as many bytes as there are. */
export type ReadChunk = (buffer: Buffer) => Promise<number>;

/**
 * Bytes that are kept after they are sent, in each gateway. With more, of large blobs whose readers are far apart, every chunk is
 * read into memory that the processor's caches have forgotten.
 */
const KEPT = 16 * 1024 * 1024;

interface Entry {
  readonly buffer: Buffer;
  length: number;
  /** Responses that send it; and the cache, while it keeps it. */
  users: number;
}

interface Reading {
  readonly entry: Entry;
  readonly length: Promise<number>;
}

/**
 * The chunks of blobs that were sent last. Who comes a little later for the same blob costs no read, and buffers are used
 * again when nobody sends them any more.
 */
export class ChunkCache {
  readonly #kept = new LRUCache<string, Entry>({
    maxSize: KEPT,
    sizeCalculation: ({ buffer }) => buffer.length,
    dispose: (entry) => this.#leave(entry),
  });
  readonly #reading = new Map<string, Reading>();
  /** How many read the blob of that name. */
  readonly #readers = new Map<string, number>();

  /** Counts a reader of the blob of that name, until what it returns is called. */
  enter(name: string): () => void {
    this.#readers.set(name, this.#readersOf(name) + 1);
    return () => {
      const left = this.#readersOf(name) - 1;
      if (left > 0) this.#readers.set(name, left);
      else this.#readers.delete(name);
    };
  }

  /** Do several read that blob now? For one alone a buffer that is used again and again costs less than chunks that are kept. */
  isShared(name: string): boolean {
    return this.#readersOf(name) > 1;
  }

  #readersOf(name: string): number {
    return this.#readers.get(name) ?? 0;
  }

  /**
   * The bytes from `position` to the end of the chunk that it is in, read where they are not here: by `read` into the buffer,
   * from an offset on. Another content has another name.
   */
  async takeAt(
    name: string,
    position: number,
    size: number,
    read: (buffer: Buffer, from: number) => Promise<number>,
  ): Promise<SharedChunk> {
    const index = Math.floor(position / size);
    const start = index * size;
    const { bytes, release } = await this.take(`${name} ${size} ${index}`, size, (buffer) =>
      read(buffer, start),
    );
    return { bytes: bytes.subarray(position - start), release };
  }

  /** The chunk of that name, read where it is not here. Another content has another name. */
  async take(name: string, size: number, read: ReadChunk): Promise<SharedChunk> {
    const kept = this.#kept.get(name);
    if (kept !== undefined) return this.#share(kept);
    const running = this.#reading.get(name) ?? this.#begin(name, size, read);
    const shared = this.#share(running.entry);
    try {
      running.entry.length = await running.length;
    } catch (error) {
      shared.release();
      throw error;
    }
    return shared;
  }

  #begin(name: string, size: number, read: ReadChunk): Reading {
    const buffer = takeBuffer(size);
    const entry: Entry = { buffer, length: 0, users: 1 };
    const length = read(buffer);
    const reading: Reading = { entry, length };
    this.#reading.set(name, reading);
    length
      .then(
        () => this.#kept.set(name, entry),
        () => this.#leave(entry),
      )
      .finally(() => this.#reading.delete(name));
    return reading;
  }

  #share(entry: Entry): SharedChunk {
    entry.users++;
    return {
      get bytes() {
        return entry.buffer.subarray(0, entry.length);
      },
      release: () => this.#leave(entry),
    };
  }

  #leave(entry: Entry): void {
    if (--entry.users === 0) giveBack(entry.buffer);
  }
}
