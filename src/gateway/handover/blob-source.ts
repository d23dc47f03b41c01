import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { PROGRESS, type Progress, type UpstreamCost } from '../../registry/core-api.ts';
import type { ChunkCache, SharedChunk } from './chunk-cache.ts';

/** A blob as a file that is whole, or that still grows. */
export interface BlobSource extends AsyncDisposable {
  /** Is it a fill under way? Then its bytes come at the upstream's pace. */
  readonly filling: boolean;
  /** Undefined while a fill is under way whose upstream does not say. */
  readonly size: number | undefined;
  /**
   * The offset up to which bytes may be read and sent: more than `position`, or equal to it at the end of the blob.
   * Rejects when the rest will never come; with `FillInterrupted` when it has to be asked for again.
   */
  available(position: number): Promise<number>;
  read(buffer: Buffer, position: number, length: number): Promise<number>;
  /**
   * The bytes from `position` to the end of the chunk that it is in, for several readers together. They may be more than are
   * available. Undefined where the chunk is not whole yet.
   */
  chunk?(position: number, size: number): Promise<SharedChunk> | undefined;
}

/** Thrown where a fill does not go on for a reason of the mirror's own: its core has gone, or cannot write. */
export class FillInterrupted extends Error {
  override readonly name = 'FillInterrupted';
}

/** Bytes at the end of a blob that wait until it is verified, so that nobody completes a wrong one. */
export const HELD_BACK = 64 * 1024;

/** A blob that is whole and verified. */
export async function openStoredBlob(file: string, size: number): Promise<BlobSource> {
  const handle = await open(file);
  const { size: found } = await handle.stat();
  if (found !== size) {
    await handle.close();
    throw new Error(`${file} holds ${found} bytes instead of ${size}`);
  }
  return {
    size,
    filling: false,
    available: async () => size,
    ...reading(handle),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

export interface FillReading {
  readonly id: string;
  readonly file: string;
  readonly size: number | undefined;
  /** The core's, of how far the file can be read. */
  readonly announcements: Lines;
  /** Where the last announcement names one. */
  readonly onCost: (cost: UpstreamCost) => void;
  /** What is shared with the other readers of the same fill. */
  readonly chunks: ChunkCache;
}

/** A fill. Takes over `announcements`. */
export async function openFill(options: FillReading): Promise<BlobSource> {
  const { id, file, size, announcements, onCost, chunks } = options;
  const handle = await open(file);
  // Where that fill has just ended, the file can be the next one's.
  const name = `fill ${id} ${(await handle.stat()).ino}`;
  const leave = chunks.enter(name);
  const progress = new FillProgress(size, announcements, onCost);
  return {
    filling: true,
    size,
    available: (position) => progress.available(position),
    chunk: (position, length) =>
      chunks.isShared(name) && progress.hasChunk(position, length)
        ? chunks.takeAt(name, position, length, async (buffer, from) => {
            return (await handle.read(buffer, 0, buffer.length, from)).bytesRead;
          })
        : undefined,
    ...reading(handle),
    [Symbol.asyncDispose]: async () => {
      leave();
      announcements.close();
      await handle.close();
    },
  };
}

function reading(handle: FileHandle): Pick<BlobSource, 'read'> {
  return {
    read: async (buffer, position, length) => (await handle.read(buffer, 0, length, position)).bytesRead,
  };
}

/** A body of JSON lines, one at a time. */
export interface Lines {
  /** Undefined at the end; rejects where the body breaks off. */
  next(): Promise<unknown>;
  close(): void;
}

export function readLines(body: Readable): Lines {
  const lines = splitLines(body);
  return {
    next: async () => {
      const { done, value } = await lines.next();
      return done === true ? undefined : JSON.parse(value);
    },
    close: () => body.destroy(),
  };
}

async function* splitLines(body: Readable): AsyncGenerator<string, void> {
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

class FillProgress {
  readonly #size: number | undefined;
  readonly #announcements: Lines;
  readonly #onCost: (cost: UpstreamCost) => void;
  #written = 0;
  #available = 0;
  #ended = false;

  constructor(size: number | undefined, announcements: Lines, onCost: (cost: UpstreamCost) => void) {
    this.#size = size;
    this.#announcements = announcements;
    this.#onCost = onCost;
  }

  async available(position: number): Promise<number> {
    while (this.#available <= position && !this.#ended) await this.#advance();
    return this.#available;
  }

  /** Is the chunk of that size, in which `position` is, written to its end? */
  hasChunk(position: number, size: number): boolean {
    return this.#ended || position - (position % size) + size <= this.#written;
  }

  async #advance(): Promise<void> {
    const progress = await this.#next();
    if (progress.kind !== 'filling' && progress.cost !== undefined) this.#onCost(progress.cost);
    switch (progress.kind) {
      case 'filling':
        this.#written = progress.written;
        this.#available = this.#unverified(progress.written);
        return;
      case 'verified':
        this.#available = progress.size;
        this.#ended = true;
        return;
      case 'interrupted':
        throw new FillInterrupted();
      case 'failed':
        throw new Error('the fill failed');
    }
  }

  /** Where the size is not announced, any byte may be of the last ones. */
  #unverified(written: number): number {
    const last = (this.#size ?? written) - HELD_BACK;
    return Math.max(0, Math.min(written, last));
  }

  async #next(): Promise<Progress> {
    let line: unknown;
    try {
      line = await this.#announcements.next();
    } catch (error) {
      throw new FillInterrupted((error as Error).message);
    }
    if (line === undefined) throw new FillInterrupted('the announcements end');
    return PROGRESS.parse(line);
  }
}
