import type { TransferOptions } from '../../core/hosted/transfer.ts';
import { formatSize } from '../../platform/size.ts';

type CopyBlob = TransferOptions['copyBlob'];

interface Sizes {
  readonly count: number;
  readonly bytes: number;
}

/** Counts the blobs that are copied, to show how far a long copy is. */
export class CopyProgress {
  #done: Sizes = { count: 0, bytes: 0 };
  #underWay: Sizes = { count: 0, bytes: 0 };

  /** Does the same as `copyBlob`, and counts. A blob that the target has already counts as done too. */
  follow(copyBlob: CopyBlob): CopyBlob {
    return async (digest, size) => {
      this.#underWay = add(this.#underWay, 1, size);
      try {
        return await copyBlob(digest, size);
      } finally {
        this.#underWay = add(this.#underWay, -1, -size);
        this.#done = add(this.#done, 1, size);
      }
    };
  }

  lines(): readonly string[] {
    return [`hosted: ${inWords(this.#done)} are done, ${inWords(this.#underWay)} are under way`];
  }
}

function add({ count, bytes }: Sizes, blobs: number, size: number): Sizes {
  return { count: count + blobs, bytes: bytes + size };
}

function inWords({ count, bytes }: Sizes): string {
  return `${count} blobs of ${formatSize(bytes)}`;
}
