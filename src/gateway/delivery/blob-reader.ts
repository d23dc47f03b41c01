import { type FileHandle, open } from 'node:fs/promises';
import type { SharedChunk } from './chunk-cache.ts';

/** A blob as a file that is complete, or that still grows. */
export interface BlobReader extends AsyncDisposable {
  /** True while a fill is under way. Then the bytes come at the upstream's pace. */
  readonly filling: boolean;
  /** Undefined while a fill is under way if the upstream does not announce the size. */
  readonly size: number | undefined;
  /**
   * Returns the offset up to which bytes may be read and sent: more than `position`, or equal to it at
   * the end of the blob. Rejects if the rest will never come; rejects with `FillInterrupted` if it must be
   * requested again.
   */
  available(position: number): number | Promise<number>;
  read(buffer: Buffer, position: number, length: number): Promise<number>;
  /**
   * Returns the bytes from `position` to the end of its chunk, which several readers share: at once if they
   * are in memory. They may be more than are available. Undefined if the chunk is not complete yet.
   */
  chunk?(position: number, size: number): SharedChunk | Promise<SharedChunk> | undefined;
}

/** Thrown if a fill stops for a reason of the mirror itself: its core has gone, or cannot write. */
export class FillInterrupted extends Error {
  override readonly name = 'FillInterrupted';

  // The constructor makes the message mandatory. Otherwise the log could lack a cause.
  constructor(message: string) {
    super(message);
  }
}

/**
 * The number of bytes at the end of a blob that wait until it is verified, so that no client completes a
 * wrong blob.
 */
export const HELD_BACK = 64 * 1024;

/** Opens a blob that is complete and verified. */
export async function openStoredBlob(file: string, size: number): Promise<BlobReader> {
  const handle = await open(file);
  const { size: found } = await handle.stat();
  if (found !== size) {
    await handle.close();
    throw new Error(`${file} holds ${found} bytes instead of ${size}`);
  }
  return {
    size,
    filling: false,
    available: () => size,
    ...reading(handle),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** Returns the `read` of a source, which reads from an open file. */
export function reading(handle: FileHandle): Pick<BlobReader, 'read'> {
  return {
    read: async (buffer, position, length) => (await handle.read(buffer, 0, length, position)).bytesRead,
  };
}
