import { DELIVERY } from '../limits.ts';

const spare = new Map<number, Buffer[]>([
  [DELIVERY.chunk, []],
  [DELIVERY.chunkForMany, []],
  [DELIVERY.chunkForCrowd, []],
]);

/**
 * Returns a buffer for at least `length` bytes, of the size of a chunk at most. Its content has no meaning.
 */
export function acquireBuffer(length: number): Buffer {
  const size = length > DELIVERY.chunkForMany ? DELIVERY.chunk : length;
  return spare.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
}

/** Releases a buffer for the next use. Nobody may read it any more. */
export function releaseBuffer(buffer: Buffer): void {
  const same = spare.get(buffer.length);
  if (same !== undefined && same.length * buffer.length < DELIVERY.freeBuffers) same.push(buffer);
}
