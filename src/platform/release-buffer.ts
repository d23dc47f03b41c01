/**
 * Frees the memory of a used chunk. Leaving that to the garbage collector costs a collection for every 16
 * MiB, a quarter of the whole cost of a fill. A chunk that is a part of a buffer is not freed, because others
 * may still use that buffer.
 */
export function releaseBuffer({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
