/**
 * The number of bytes in which blobs are read. Smaller chunks cause thread switches and TLS records too
 * often.
 */
export const CHUNK = 256 * 1024;
/**
 * The size for many readers at once. Most of them are slow, so the chunks in flight are what takes the
 * memory.
 */
export const CHUNK_FOR_MANY = 64 * 1024;
/**
 * Many connections often become writable at the same time, and one turn of the event loop then encrypts what
 * the kernel accepts of them all.
 */
export const CHUNK_FOR_CROWD = 32 * 1024;

/** The most bytes of free buffers of each size. Allocating a buffer costs more than filling it. */
const KEPT = 16 * 1024 * 1024;

const spare = new Map<number, Buffer[]>([
  [CHUNK, []],
  [CHUNK_FOR_MANY, []],
  [CHUNK_FOR_CROWD, []],
]);

/**
 * Returns a buffer for at least `length` bytes, of the size of a chunk at most. Its content has no meaning.
 */
export function acquireBuffer(length: number): Buffer {
  const size = length > CHUNK_FOR_MANY ? CHUNK : length;
  return spare.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
}

/** Releases a buffer for the next use. Nobody may read it any more. */
export function releaseBuffer(buffer: Buffer): void {
  const same = spare.get(buffer.length);
  if (same !== undefined && same.length * buffer.length < KEPT) same.push(buffer);
}
