import { LRUCache } from 'lru-cache';
import { DELIVERY } from '../limits.ts';
import { DeliveryPool } from './delivery-pool.ts';

/** Bytes of a blob that several responses may be sending at the same time. Nobody may write to them. */
export interface SharedChunk {
  readonly bytes: Buffer;
  /** The caller calls this once, when the bytes are sent. */
  release(): void;
}

/** Reads from the disk into `buffer`, and resolves to the number of bytes. */
export type ReadChunk = (buffer: Buffer) => Promise<number>;

interface ChunkEntry {
  readonly buffer: Buffer;
  /**
   * The part of the buffer that was read; empty until then. It is made once, because each response would need
   * its own.
   */
  bytes: Buffer;
  /** The number of responses that send the chunk, plus one while it is cached. */
  users: number;
}

interface ChunkReading {
  readonly entry: ChunkEntry;
  /** Resolves when the bytes of the entry have been read. */
  readonly done: Promise<void>;
}

/**
 * The chunks of blobs that were sent last. A client that comes a little later for the same blob causes no
 * read, and a buffer is used again when no response sends it any more.
 */
export class ChunkCache {
  readonly #pool: DeliveryPool;
  /** The number of names that were given out. */
  #names = 0;
  readonly #cached = new LRUCache<string, ChunkEntry>({
    maxSize: DELIVERY.cachedChunks,
    sizeCalculation: ({ buffer }) => buffer.length,
    dispose: (entry) => this.#leave(entry),
  });
  readonly #reading = new Map<string, ChunkReading>();
  /** The number of readers of each blob, by its name. */
  readonly #readers = new Map<string, number>();

  constructor(pool = new DeliveryPool()) {
    this.#pool = pool;
  }

  /** Returns a name that no other blob has. */
  newName(): string {
    return `blob ${this.#names++}`;
  }

  /** Counts a reader of the blob of that name until the returned function is called. */
  enter(name: string): () => void {
    this.#readers.set(name, this.#readersOf(name) + 1);
    return () => {
      const left = this.#readersOf(name) - 1;
      if (left > 0) this.#readers.set(name, left);
      else this.#readers.delete(name);
    };
  }

  /**
   * True if several responses read that blob now. For a single one, a buffer that is used again and again
   * costs less than cached chunks.
   */
  isShared(name: string): boolean {
    return this.#readersOf(name) > 1;
  }

  #readersOf(name: string): number {
    return this.#readers.get(name) ?? 0;
  }

  /**
   * Returns the bytes from `position` to the end of its chunk. A chunk that is not cached is read by `read`
   * into the buffer, from the given offset. Different contents must have different names.
   */
  takeAt(
    name: string,
    position: number,
    size: number,
    read: (buffer: Buffer, from: number) => Promise<number>,
  ): SharedChunk | Promise<SharedChunk> {
    const index = Math.floor(position / size);
    const start = index * size;
    const chunk = this.take(`${name} ${size} ${index}`, size, (buffer) => read(buffer, start));
    if (position === start) return chunk;
    const rest = ({ bytes, release }: SharedChunk) => ({ bytes: bytes.subarray(position - start), release });
    return chunk instanceof Promise ? chunk.then(rest) : rest(chunk);
  }

  /**
   * Returns the chunk of that name: at once if it is cached, because a promise would cost more than the
   * lookup, and otherwise when it has been read. Different contents must have different names.
   */
  take(name: string, size: number, read: ReadChunk): SharedChunk | Promise<SharedChunk> {
    const cached = this.#cached.get(name);
    if (cached === undefined) return this.#takeReading(name, size, read);
    cached.users++;
    return this.#shared(cached);
  }

  async #takeReading(name: string, size: number, read: ReadChunk): Promise<SharedChunk> {
    const { entry, done } = this.#reading.get(name) ?? this.#begin(name, size, read);
    entry.users++;
    try {
      await done;
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
    return this.#shared(entry);
  }

  #begin(name: string, size: number, read: ReadChunk): ChunkReading {
    const buffer = this.#pool.acquire(size);
    const entry: ChunkEntry = { buffer, bytes: buffer.subarray(0, 0), users: 1 };
    const done = read(buffer).then((length) => {
      entry.bytes = buffer.subarray(0, length);
    });
    const reading: ChunkReading = { entry, done };
    this.#reading.set(name, reading);
    done
      .then(
        () => this.#cached.set(name, entry),
        () => this.#leave(entry),
      )
      .finally(() => this.#reading.delete(name));
    return reading;
  }

  /** The caller has counted itself as a user. */
  #shared(entry: ChunkEntry): SharedChunk {
    return { bytes: entry.bytes, release: () => this.#leave(entry) };
  }

  #leave(entry: ChunkEntry): void {
    if (--entry.users === 0) this.#pool.release(entry.buffer);
  }
}
