import { createCipheriv } from 'node:crypto';

/** Makes random choices that are the same for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns a number of at least 0 and below 1, by the generator mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Returns a random size, of which each order of magnitude is equally likely, as with files. */
  size(smallest: number, largest: number): number {
    return Math.floor(smallest * (largest / smallest) ** this.next());
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error('there is nothing to choose from');
    return choice;
  }

  shuffle<T>(items: Iterable<T>): T[] {
    return [...items]
      .map((item) => ({ item, order: this.next() }))
      .sort((a, b) => a.order - b.order)
      .map(({ item }) => item);
  }

  bytes(length: number): Buffer {
    const key = Buffer.alloc(16);
    key.writeUInt32LE(this.below(2 ** 32));
    return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
  }

  /** Returns a generator for a party that makes its choices at its own times. */
  fork(): Random {
    return new Random(this.below(2 ** 32));
  }
}

/** Returns `CRASH_SEED`, which repeats the choices of another run, or a new seed. */
export function chooseSeed(): number {
  return Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 32));
}
