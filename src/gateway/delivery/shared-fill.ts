import { type FileHandle, open } from 'node:fs/promises';
import type { Lines } from '../../platform/ipc/json-lines.ts';
import type { UpstreamCost } from '../../protocol/core-api.ts';
import { type BlobReader, reading } from './blob-reader.ts';
import type { ChunkCache } from './chunk-cache.ts';
import { FillProgress } from './fill-progress.ts';

export interface FillReading {
  readonly id: string;
  readonly file: string;
  readonly size: number | undefined;
  /** The core's announcements of how far the file can be read. */
  readonly announcements: Lines;
  /** True if the fill was begun for another request. Then its cost is reported to that one. */
  readonly joined: boolean;
}

/** A fill as one of its readers sees it. */
export interface FillReader extends BlobReader {
  /** Returns the cost that the fill reported at its end, if it was begun for this reader. */
  trailingCost(): UpstreamCost | undefined;
}

/** A fill whose announcements are read here as long as somebody reads the blob. */
interface FollowedFill {
  readonly progress: FillProgress;
  readonly opened: Promise<OpenFill>;
  readers: number;
}

interface OpenFill {
  readonly handle: FileHandle;
  /** The name of its chunks in the cache. */
  readonly name: string;
}

/**
 * The fills that are read in this gateway. The announcements of each are read once, however many readers it
 * has. They read from one open file and in shared chunks.
 */
export class SharedFills {
  readonly #chunks: ChunkCache;
  /** The fills by their ids. */
  readonly #followed = new Map<string, FollowedFill>();

  constructor(chunks: ChunkCache) {
    this.#chunks = chunks;
  }

  /**
   * Opens a source for one reader, whom the core has sent to this fill. It takes ownership of
   * `announcements`.
   */
  async open(fill: FillReading): Promise<FillReader> {
    const joined = this.#followedAlready(fill);
    const followed = joined ?? this.#follow(fill);
    followed.readers++;
    try {
      const reader = this.#readerOf(fill, followed, await followed.opened);
      return { ...reader, trailingCost: () => (joined ? undefined : followed.progress.cost) };
    } catch (error) {
      await this.#leave(fill.id, followed);
      throw error;
    }
  }

  /** Returns the fill if its announcements are read here already. Then one reading of them is enough. */
  #followedAlready({ id, announcements, joined }: FillReading): FollowedFill | undefined {
    const known = this.#followed.get(id);
    if (!joined || known === undefined || known.progress.hasBroken) return undefined;
    announcements.close();
    return known;
  }

  #follow({ id, file, size, announcements }: FillReading): FollowedFill {
    const progress = new FillProgress(size, announcements);
    const followed = { progress, opened: openFile(id, file), readers: 0 };
    this.#followed.set(id, followed);
    return followed;
  }

  #readerOf({ id, size }: FillReading, followed: FollowedFill, { handle, name }: OpenFill): BlobReader {
    const { progress } = followed;
    const chunks = this.#chunks;
    const leave = chunks.enter(name);
    return {
      filling: true,
      size,
      available: (position) => progress.available(position),
      chunk: (position, length) =>
        chunks.isShared(name) && progress.hasChunk(position, length)
          ? chunks.takeAt(name, position, length, async (buffer, from) => {
              return (await handle.read(buffer, 0, buffer.length, from)).bytesRead;
            })
          : undefined,
      ...reading(handle),
      [Symbol.asyncDispose]: () => {
        leave();
        return this.#leave(id, followed);
      },
    };
  }

  async #leave(id: string, followed: FollowedFill): Promise<void> {
    if (--followed.readers > 0) return;
    if (this.#followed.get(id) === followed) this.#followed.delete(id);
    followed.progress.close();
    const file = await followed.opened.catch(() => undefined);
    await file?.handle.close();
  }
}

async function openFile(id: string, file: string): Promise<OpenFill> {
  const handle = await open(file);
  // If that fill has just ended, the file may already belong to the next one, so the inode is part of the
  // name.
  return { handle, name: `fill ${id} ${(await handle.stat()).ino}` };
}
