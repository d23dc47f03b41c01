import { DISK_RESERVE } from '../limits.ts';
import type { Store } from '../store/store.ts';

/** The value of `cache.maxSize`: a number of bytes, or the whole disk except a reserve. */
export type MaxSize = number | 'auto';

export interface CacheLimitOptions {
  readonly maxSize: MaxSize;
  readonly store: Store;
}

/**
 * Computes how many bytes the cache may take now. With `auto` that is the sum of its size and the free space,
 * less the reserve. So the limit does not shrink because the cache grows, but it does when something else
 * takes the disk.
 */
export class CacheLimit {
  readonly #options: CacheLimitOptions;
  #last = 0;

  constructor(options: CacheLimitOptions) {
    this.#options = options;
  }

  /** @throws if the free space of the disk cannot be read. */
  async bytes(): Promise<number> {
    const { maxSize, store } = this.#options;
    if (maxSize !== 'auto') return maxSize;
    const [{ bytes }, { total, free }] = await Promise.all([store.index.stats(), store.content.space()]);
    this.#last = autoSize({ used: bytes, free, total });
    return this.#last;
  }

  /**
   * Returns the limit for reports. If the free space cannot be read now, that is the last known limit, or 0
   * if there is none.
   */
  reported(): Promise<number> {
    return this.bytes().catch(() => this.#last);
  }
}

/** Computes the limit; all numbers are in bytes. */
export function autoSize({ used, free, total }: { used: number; free: number; total: number }): number {
  const reserve = Math.min(total * DISK_RESERVE.part, DISK_RESERVE.most);
  return Math.max(0, Math.floor(used + free - reserve));
}
