import type { Digest } from '../../src/registry/digest.ts';
import type { TestImage } from '../support/image.ts';

/** Remembers when each content was last used, because the cache may exceed its size by what is in use. */
export class Uses {
  readonly #last = new Map<Digest, { readonly at: number; readonly size: number }>();

  /** Records a use of the image, which is a use of everything that it names. */
  use(image: TestImage): void {
    const at = performance.now();
    this.#last.set(image.digest, { at, size: image.bytes.length });
    for (const [digest, { length }] of image.blobs) this.#last.set(digest, { at, size: length });
  }

  /** Returns the bytes of all content that was used within the last `age` milliseconds. */
  within(age: number): number {
    const since = performance.now() - age;
    return [...this.#last.values()].reduce((sum, { at, size }) => (at >= since ? sum + size : sum), 0);
  }
}
