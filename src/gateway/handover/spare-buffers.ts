/** What blobs are read in: less costs a thread's hop and a TLS record's overhead too often. */
export const CHUNK = 256 * 1024;
/** With many readers at once, most of whom are slow, the chunks in flight are what memory goes into. */
export const CHUNK_FOR_MANY = 64 * 1024;
/** When their connections can be written to, they can at the same time: what the kernel then takes is one turn of the event loop. */
export const CHUNK_FOR_CROWD = 32 * 1024;

/** Bytes of free buffers of each size: to make them anew costs more than to fill them. */
const KEPT = 16 * 1024 * 1024;

const spare = new Map<number, Buffer[]>([
  [CHUNK, []],
  [CHUNK_FOR_MANY, []],
  [CHUNK_FOR_CROWD, []],
]);

/** A buffer for at least so many bytes, of a chunk at most. What is in it is of no meaning. */
export function takeBuffer(length: number): Buffer {
  const size = length > CHUNK_FOR_MANY ? CHUNK : length;
  return spare.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
}

/** For the next who takes one: nobody may read it any more. */
export function giveBack(buffer: Buffer): void {
  const same = spare.get(buffer.length);
  if (same !== undefined && same.length * buffer.length < KEPT) same.push(buffer);
}
