import { LRUCache } from 'lru-cache';
import type { Logger } from '../../platform/log.ts';
import { formatSize } from '../../platform/size.ts';
import type { Digest } from '../../registry/digest.ts';
import { DISK_FLOOR } from '../limits.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { CacheLimit } from './cache-limit.ts';

export interface CacheSpaceOptions {
  readonly content: Pick<ContentStore, 'space'>;
  readonly limit: Pick<CacheLimit, 'bytes'>;
  /** Evicts content until this many more bytes fit. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  readonly log: Logger;
}

/** Thrown by a fill under way if the cache has no space for it. */
export class NoSpace extends Error {
  override readonly name = 'NoSpace';
}

/** The space that one fill may take. */
export interface Reservation extends Disposable {
  /**
   * The fill calls this after each write.
   * @throws NoSpace if the fill may not continue.
   */
  wrote(bytes: number): Promise<void>;
}

export interface MeasuredSpace {
  /** Bytes that fills may take from the disk. */
  readonly free: number;
  /** The bytes that the cache may take. */
  readonly most: number;
  /** The name of the place in messages. */
  readonly place: string;
}

/** The space that a fill asks for. */
export interface WantedSpace {
  readonly digest: Digest;
  /** The size of the whole blob; undefined if the upstream does not announce it. */
  readonly size: number | undefined;
  /** The offset from which the fill continues: the bytes before it are on the disk already. */
  readonly resumeOffset: number;
}

/**
 * The most blobs that are known to be too large. An upstream need not announce sizes, so they are remembered.
 */
const MAX_TOO_LARGE = 1_000;
/**
 * The bytes between two checks of the disk during a fill, because something else may fill the disk meanwhile.
 */
const CHECK_EVERY = 16 * 2 ** 20;

/**
 * Decides before and during a fill whether there is space for it. It counts the bytes that the fills under
 * way have still to write.
 */
export class CacheSpace {
  readonly #options: CacheSpaceOptions;
  readonly #tooLarge = new LRUCache<Digest, number>({ max: MAX_TOO_LARGE });
  #promised = 0;

  constructor(options: CacheSpaceOptions) {
    this.#options = options;
  }

  /**
   * Measures the space before the response arrives, because `reserveOf` must not wait: a body that nobody
   * reads yet loses the bytes that have arrived.
   */
  async measure(): Promise<MeasuredSpace> {
    const { content, limit } = this.#options;
    const [{ free, total, place }, most] = await Promise.all([content.space(), limit.bytes()]);
    return { free: free - floorOf(total), most, place };
  }

  /** Returns undefined if the `measured` space is not enough. */
  reserveOf(measured: MeasuredSpace, wanted: WantedSpace): Reservation | undefined {
    const { size, resumeOffset } = this.#known(wanted);
    const isEnough = size <= measured.most && this.#fits(measured, size - resumeOffset);
    return isEnough ? this.#reservation(wanted, measured.most) : undefined;
  }

  /**
   * Makes room. Returns undefined if the blob does not fit and must be passed on without caching.
   * @throws if the disk is full.
   */
  async reserve(wanted: WantedSpace): Promise<Reservation | undefined> {
    const { log, makeRoom } = this.#options;
    const { digest, size, resumeOffset } = this.#known(wanted);
    await makeRoom(Math.max(0, size - resumeOffset));
    await this.check();
    const measured = await this.measure();
    if (size > measured.most) return this.#refuse(digest, size, measured.most);
    if (this.#fits(measured, size - resumeOffset)) return this.#reservation(wanted, measured.most);
    log.warn({ digest, size: formatSize(size) }, 'the disk has no space for a blob; it is not cached');
    return undefined;
  }

  /** @throws if the disk of the cache is full. */
  async check(): Promise<void> {
    const { free, place } = await this.measure();
    if (free < 0) throw new Error(`ENOSPC: too little is free on the disk of ${place}`);
  }

  #known({ digest, size = this.#tooLarge.get(digest) ?? 0, resumeOffset }: WantedSpace) {
    return { digest, size, resumeOffset };
  }

  #fits({ free }: MeasuredSpace, missing: number): boolean {
    return free - this.#promised - Math.max(0, missing) >= 0;
  }

  #reservation({ digest, size = 0, resumeOffset }: WantedSpace, most: number): Reservation {
    const missing = Math.max(0, size - resumeOffset);
    this.#promised += missing;
    let promised = missing;
    let written = resumeOffset;
    const release = (bytes: number) => {
      const released = Math.min(promised, bytes);
      promised -= released;
      this.#promised -= released;
    };
    return {
      wrote: async (bytes) => {
        release(bytes);
        const isCheckDue = Math.floor(written / CHECK_EVERY) < Math.floor((written + bytes) / CHECK_EVERY);
        written += bytes;
        if (written > most) {
          this.#refuse(digest, written, most);
          throw new NoSpace('the blob is larger than the cache may be');
        }
        if (isCheckDue && !this.#fits(await this.measure(), 0))
          throw new NoSpace('the disk of the cache is filling up');
      },
      [Symbol.dispose]: () => release(promised),
    };
  }

  #refuse(digest: Digest, size: number, most: number): undefined {
    if (!this.#tooLarge.has(digest))
      this.#options.log.warn(
        { digest, maxSize: formatSize(most) },
        'a blob is larger than the cache may be; it is not cached',
      );
    this.#tooLarge.set(digest, size);
  }
}

function floorOf(total: number): number {
  return Math.min(total * DISK_FLOOR.part, DISK_FLOOR.most);
}
