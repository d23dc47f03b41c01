import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  type FileHandle,
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  rename,
  stat,
  unlink,
} from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { syncDirectory } from '../../platform/atomic-file.ts';
import type { Clock } from '../../platform/clock.ts';
import { diskSpace } from '../../platform/disk-space.ts';
import type { BlobLocation, PartialLocation } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import { KEEP_PARTIAL_FOR } from '../limits.ts';
import type {
  ContentStore,
  ListedContent,
  OpenOptions,
  PartialContent,
  StoreSpace,
} from './content-store.ts';
import {
  BLOB_DIRECTORIES,
  blobDirectory,
  blobFile,
  DIRECTORIES,
  digestOfBlob,
  PARTIAL_DIRECTORY,
  PROBE_FILE,
  partialFile,
  quarantineFile,
} from './layout.ts';

/** Only the gateway, which may be another user of the same group, also reads the files. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;
const READ_SIZE = 1024 * 1024;
/**
 * The size of a probe in bytes. It is larger than a small manifest, so that a disk with a few free blocks
 * does not count as writable.
 */
const PROBE_SIZE = 1024 * 1024;

/** The content store in a local directory. Fills that broke off a day ago are removed. */
export class FileContentStore implements ContentStore {
  readonly #root: string;
  readonly #clock: Clock;
  /**
   * The digests whose files have their names before they would survive a power cut. A lookup waits until they
   * do.
   */
  readonly #publishing: Publishing = new Map();

  constructor(root: string, clock: Clock) {
    this.#root = root;
    this.#clock = clock;
  }

  /** Creates each directory and syncs its entry before anything can be published below it. */
  async makeDirectories(): Promise<void> {
    for (const directory of DIRECTORIES) await makeDirectory(path.join(this.#root, directory));
  }

  async find(digest: Digest): Promise<BlobLocation | undefined> {
    await this.#publishing.get(digest);
    const file = blobFile(digest);
    const stats = await stat(path.join(this.#root, file)).catch(absent);
    return stats === undefined ? undefined : { kind: 'file', file, size: stats.size };
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    await this.#publishing.get(digest);
    return readFile(path.join(this.#root, blobFile(digest))).catch(absent);
  }

  async open(digest: Digest, { from = 0, signal }: OpenOptions = {}): Promise<Readable | undefined> {
    await this.#publishing.get(digest);
    const handle = await open(path.join(this.#root, blobFile(digest))).catch(absent);
    // The stream closes the file.
    return handle?.createReadStream({ start: from, highWaterMark: READ_SIZE, ...(signal && { signal }) });
  }

  async publish(digest: Digest, bytes: Uint8Array): Promise<void> {
    // The bytes have a file of their own, because the same bytes can come through two repositories at the
    // same time.
    const partial = await this.#open(digest, `${partialFile(digest)}.${randomUUID()}`);
    try {
      await partial.append(bytes);
      await partial.publish();
    } catch (error) {
      await partial.discard();
      throw error;
    }
  }

  async adopt(digest: Digest, file: string): Promise<void> {
    const handle = await open(file, 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await publishFile(this.#root, this.#publishing, digest, file);
  }

  async *list(): AsyncGenerator<ListedContent, void> {
    for (const directory of BLOB_DIRECTORIES) {
      // The directory may not exist yet if the disk cannot be written.
      const entries = await opendir(path.join(this.#root, directory), { recursive: true }).catch(absent);
      for await (const entry of entries ?? []) {
        const digest = entry.isFile() ? digestOfBlob(path.basename(directory), entry.name) : undefined;
        if (digest === undefined) continue;
        const found = await this.find(digest);
        if (found !== undefined) yield { digest, size: found.size };
      }
    }
  }

  /** The file of a fill under way is young, because the fill writes from time to time. */
  async clearPartials(): Promise<void> {
    const directory = path.join(this.#root, PARTIAL_DIRECTORY);
    for (const name of (await readdir(directory).catch(absent)) ?? []) {
      const file = path.join(directory, name);
      const stats = await stat(file).catch(absent);
      if (stats !== undefined && stats.mtimeMs < this.#clock() - KEEP_PARTIAL_FOR)
        await unlink(file).catch(absent);
    }
  }

  async remove(digest: Digest): Promise<void> {
    await unlink(path.join(this.#root, blobFile(digest))).catch(absent);
  }

  async quarantine(digest: Digest): Promise<void> {
    const from = path.join(this.#root, blobFile(digest));
    await rename(from, path.join(this.#root, quarantineFile(digest))).catch(absent);
  }

  async probe(): Promise<void> {
    const file = path.join(this.#root, PROBE_FILE);
    try {
      const handle = await open(file, 'w', FILE_MODE);
      try {
        await handle.writeFile(Buffer.alloc(PROBE_SIZE));
        await handle.sync();
      } finally {
        await handle.close();
      }
    } finally {
      // The reason why the write failed is more useful than this error.
      await unlink(file).catch(() => {});
    }
  }

  async space(): Promise<StoreSpace> {
    const { total, free } = await diskSpace(this.#root);
    return { total, free, place: this.#root };
  }

  begin(digest: Digest): Promise<PartialContent> {
    return this.#open(digest, partialFile(digest));
  }

  async #open(digest: Digest, file: string): Promise<PartialContent> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
    const handle = await open(path.join(this.#root, file), flags, FILE_MODE);
    const { size } = await handle.stat();
    return new PartialFile({
      root: this.#root,
      publishing: this.#publishing,
      file,
      digest,
      handle,
      left: size,
    });
  }
}

type Publishing = Map<Digest, Promise<void>>;

interface PartialFileOptions {
  readonly root: string;
  readonly publishing: Publishing;
  readonly file: string;
  readonly digest: Digest;
  readonly handle: FileHandle;
  readonly left: number;
}

class PartialFile implements PartialContent {
  readonly location: PartialLocation;
  resumeOffset: number;
  size: number;
  readonly #path: string;
  readonly #root: string;
  readonly #publishing: Publishing;
  readonly #digest: Digest;
  readonly #handle: FileHandle;
  #isClosed = false;

  constructor({ root, publishing, file, digest, handle, left }: PartialFileOptions) {
    this.#root = root;
    this.#publishing = publishing;
    this.location = { kind: 'file', file };
    this.#path = path.join(root, file);
    this.#digest = digest;
    this.#handle = handle;
    this.resumeOffset = left;
    this.size = left;
  }

  async *readExisting(): AsyncGenerator<Uint8Array, void> {
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, this.resumeOffset));
    for (let at = 0; at < this.resumeOffset; ) {
      const { bytesRead } = await this.#handle.read(
        buffer,
        0,
        Math.min(buffer.length, this.resumeOffset - at),
        at,
      );
      if (bytesRead === 0) throw new Error(`${this.#path} is shorter than it was`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    // writeFile on a handle continues after a short write.
    await this.#handle.writeFile(bytes);
    this.size += bytes.length;
  }

  async read(from: number, length: number): Promise<Buffer | undefined> {
    if (this.#isClosed) return undefined;
    const buffer = Buffer.allocUnsafe(length);
    try {
      const { bytesRead } = await this.#handle.read(buffer, 0, length, from);
      return buffer.subarray(0, bytesRead);
    } catch (error) {
      if (this.#isClosed) return undefined;
      throw error;
    }
  }

  async publish(): Promise<void> {
    await this.#handle.sync();
    await this.#close();
    await publishFile(this.#root, this.#publishing, this.#digest, this.#path);
  }

  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.resumeOffset = 0;
    this.size = 0;
  }

  async suspend(): Promise<void> {
    await this.#close().catch(() => {});
  }

  /** Removes the partial file. If that fails, the next fill resumes it, or it is removed a day later. */
  async discard(): Promise<void> {
    await this.#close().catch(() => {});
    await unlink(this.#path).catch(() => {});
  }

  #close(): Promise<void> {
    this.#isClosed = true;
    return this.#handle.close();
  }
}

/** Gives a file, whose bytes were synced, the name of its digest. */
async function publishFile(
  root: string,
  publishing: Publishing,
  digest: Digest,
  file: string,
): Promise<void> {
  const directory = path.join(root, blobDirectory(digest));
  await makeDirectory(directory);
  const { promise, resolve } = Promise.withResolvers<void>();
  publishing.set(digest, promise);
  try {
    await rename(file, path.join(root, blobFile(digest)));
    await syncDirectory(directory);
  } finally {
    publishing.delete(digest);
    resolve();
  }
}

async function makeDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (made !== undefined) await syncDirectory(path.dirname(directory));
}

/** A file in the place of a directory also means that nothing is there. */
function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
