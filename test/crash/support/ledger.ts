import { EventEmitter } from 'node:events';
import type { Digest } from '../../../src/registry/digest.ts';

/** What the core has promised to keep: it answered with a place in its cache, or it was found there. */
export class Ledger extends EventEmitter<{ promised: []; filled: [] }> {
  /** In the order in which they were. */
  readonly #promised = new Set<Digest>();
  /** The Hub gave wrong bytes of these, or too few: their pulls may fail. */
  readonly troubled = new Set<Digest>();

  get promised(): ReadonlySet<Digest> {
    return this.#promised;
  }

  promise(digest: Digest): void {
    if (this.#promised.has(digest)) return;
    this.#promised.add(digest);
    this.emit('promised');
  }

  /** A reader has the last bytes of a fill: it is verified, and about to be published. */
  filled(): void {
    this.emit('filled');
  }
}
