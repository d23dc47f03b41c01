import { DELIVERY } from '../limits.ts';

/**
 * The resources that the responses of one gateway share: free buffers, and the number of responses that send
 * a blob now, on which the size of their chunks depends.
 */
export class DeliveryPool {
  readonly #free = new Map<number, Buffer[]>([
    [DELIVERY.chunk, []],
    [DELIVERY.chunkForMany, []],
    [DELIVERY.chunkForCrowd, []],
  ]);
  #readers = 0;

  /** Counts a response that sends a blob, until `leave` is called. */
  enter(): void {
    this.#readers++;
  }

  leave(): void {
    this.#readers--;
  }

  /** True if only one response sends a blob. */
  get isForOne(): boolean {
    return this.#readers === 1;
  }

  /** The number of bytes that a response reads at a time. */
  get chunkSize(): number {
    if (this.#readers > DELIVERY.crowd) return DELIVERY.chunkForCrowd;
    return this.#readers > DELIVERY.manyReaders ? DELIVERY.chunkForMany : DELIVERY.chunk;
  }

  /**
   * Returns a buffer for at least `length` bytes, of the size of a chunk at most. Its content has no meaning.
   */
  acquire(length: number): Buffer {
    const size = length > DELIVERY.chunkForMany ? DELIVERY.chunk : length;
    return this.#free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  /** Releases a buffer for the next use. Nobody may read it any more. */
  release(buffer: Buffer): void {
    const same = this.#free.get(buffer.length);
    if (same !== undefined && same.length * buffer.length < DELIVERY.freeBuffers) same.push(buffer);
  }
}
