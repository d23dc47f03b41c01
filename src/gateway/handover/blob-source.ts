import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { PROGRESS, type Progress, type UpstreamCost } from '../../registry/core-api.ts';
import type { SharedChunk } from './chunk-cache.ts';

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
  /** The bytes from `position` to the end of the chunk that it is in; of a blob that several read. */
  chunk?(position: number, size: number): Promise<SharedChunk>;
}

/** Thrown where a fill does not go on for a reason of the mirror's own: its core has gone, or cannot write. */
export class FillInterrupted extends Error {
  override readonly name = 'FillInterrupted';
}

/** Bytes at the end of what a fill has written that wait until it is verified, so that nobody completes a wrong blob. */
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

/**
 * A fill: the core's announcements say how far its file can be read. Takes over `announcements`. `onCost` is called where the
 * last of them names one.
 */
export async function openFill(
  file: string,
  size: number | undefined,
  announcements: Lines,
  onCost: (cost: UpstreamCost) => void,
): Promise<BlobSource> {
  const handle = await open(file);
  const fill = new FillProgress(announcements, onCost);
  return {
    filling: true,
    size,
    available: (position) => fill.available(position),
    ...reading(handle),
    [Symbol.asyncDispose]: async () => {
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
  readonly #announcements: Lines;
  readonly #onCost: (cost: UpstreamCost) => void;
  #available = 0;
  #ended = false;

  constructor(announcements: Lines, onCost: (cost: UpstreamCost) => void) {
    this.#announcements = announcements;
    this.#onCost = onCost;
  }

  async available(position: number): Promise<number> {
    while (this.#available <= position && !this.#ended) await this.#advance();
    return this.#available;
  }

  async #advance(): Promise<void> {
    const progress = await this.#next();
    if (progress.kind !== 'filling' && progress.cost !== undefined) this.#onCost(progress.cost);
    switch (progress.kind) {
      case 'filling':
        this.#available = Math.max(0, progress.written - HELD_BACK);
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
