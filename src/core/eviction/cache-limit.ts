import { diskSpace } from '../../platform/disk-space.ts';
import { DISK_RESERVE } from '../limits.ts';
import type { Store } from '../store/store.ts';

/** `cache.maxSize`: bytes, or as much as the disk has beyond a reserve. */
export type MaxSize = number | 'auto';

export interface CacheLimitOptions {
  readonly maxSize: MaxSize;
  readonly directory: string;
  readonly store: Pick<Store, 'index'>;
}

/**
 * How many bytes the cache may hold now. With `auto` that is what it holds and what is free, less the reserve, so it does not
 * shrink because the cache grows, and does shrink when something else takes the disk.
 */
export class CacheLimit {
  readonly #options: CacheLimitOptions;
  #last = 0;

  constructor(options: CacheLimitOptions) {
    this.#options = options;
  }

  /** @throws if the free space of the disk cannot be read. */
  async bytes(): Promise<number> {
    const { maxSize, directory, store } = this.#options;
    if (maxSize !== 'auto') return maxSize;
    const [{ bytes }, { total, free }] = await Promise.all([store.index.stats(), diskSpace(directory)]);
    this.#last = autoSize({ used: bytes, free, total });
    return this.#last;
  }

  /**
   * The limit for reports: the current one, or the last one known if the free space cannot be read now; 0 if
   * it never could.
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
