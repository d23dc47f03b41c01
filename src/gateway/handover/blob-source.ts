import { type FileHandle, open } from 'node:fs/promises';
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
  /**
   * The bytes from `position` to the end of the chunk that it is in, for several readers together. They may be more than are
   * available. Undefined where the chunk is not whole yet.
   */
  chunk?(position: number, size: number): Promise<SharedChunk> | undefined;
}

/** Thrown where a fill does not go on for a reason of the mirror's own: its core has gone, or cannot write. */
export class FillInterrupted extends Error {
  override readonly name = 'FillInterrupted';

  // The constructor makes the message mandatory. Otherwise the log could lack a cause.
  constructor(message: string) {
    super(message);
  }
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

/** `read` of a source, from its open file. */
export function reading(handle: FileHandle): Pick<BlobSource, 'read'> {
  return {
    read: async (buffer, position, length) => (await handle.read(buffer, 0, length, position)).bytesRead,
  };
}
