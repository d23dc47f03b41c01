import { randomFillSync } from 'node:crypto';

/** The number of ids for which random bytes are taken at a time. */
const AT_ONCE = 512;

/**
 * Makes random ids in hex. A call of the system's generator costs a busy core more than all else that it does
 * for a cache hit, so the bytes of many ids are taken together.
 */
export class RandomIds {
  readonly #bytes: number;
  readonly #pool: Buffer;
  #next: number;

  /** @param bytes the random bytes of one id */
  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#pool = Buffer.alloc(bytes * AT_ONCE);
    this.#next = this.#pool.length;
  }

  next(): string {
    if (this.#next === this.#pool.length) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    const start = this.#next;
    this.#next += this.#bytes;
    return this.#pool.toString('hex', start, this.#next);
  }
}
