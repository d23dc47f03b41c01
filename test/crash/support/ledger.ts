import { EventEmitter } from 'node:events';
import type { Digest } from '../../../src/registry/digest.ts';

/**
 * The blobs that the core has promised to keep: it answered with a place in its cache, or the blob was found
 * there.
 */
export class Ledger extends EventEmitter<{ promised: []; filled: [] }> {
  /** The digests in the order of the promises. */
  readonly #promised = new Set<Digest>();
  /** The digests of which the Hub gave wrong bytes, or too few. Their pulls may fail. */
  readonly troubled = new Set<Digest>();

  get promised(): ReadonlySet<Digest> {
    return this.#promised;
  }

  promise(digest: Digest): void {
    if (this.#promised.has(digest)) return;
    this.#promised.add(digest);
    this.emit('promised');
  }

  /** Records that a reader has the last bytes of a fill. The fill is verified, and about to be published. */
  filled(): void {
    this.emit('filled');
  }
}
