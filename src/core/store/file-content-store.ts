import { type FileHandle, mkdir, open, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../platform/atomic-file.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ContentStore, PartialContent, StoredContent } from './content-store.ts';
import { BLOB_DIRECTORIES, blobDirectory, blobFile, PARTIAL_DIRECTORY, partialFile } from './layout.ts';

/** The gateway, which may be another user of the same group, reads; nobody else does. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** The content store in a local directory. Fills that a run before left half-done are cleared away. */
export async function openFileContentStore(root: string): Promise<ContentStore> {
  await rm(path.join(root, PARTIAL_DIRECTORY), { recursive: true, force: true });
  // Each is made, and its entry synced, before anything can be published below it.
  for (const directory of [PARTIAL_DIRECTORY, ...BLOB_DIRECTORIES])
    await makeDirectory(path.join(root, directory));
  return new FileContentStore(root);
}

class FileContentStore implements ContentStore {
  readonly #root: string;
  #attempts = 0;

  constructor(root: string) {
    this.#root = root;
  }

  async find(digest: Digest): Promise<StoredContent | undefined> {
    const file = blobFile(digest);
    const stats = await stat(path.join(this.#root, file)).catch(absent);
    return stats === undefined ? undefined : { file, size: stats.size };
  }

  read(digest: Digest): Promise<Buffer | undefined> {
    return readFile(path.join(this.#root, blobFile(digest))).catch(absent);
  }

  async publish(digest: Digest, bytes: Uint8Array): Promise<void> {
    const partial = await this.begin(digest);
    try {
      await partial.append(bytes);
      await partial.publish();
    } catch (error) {
      await partial.discard();
      throw error;
    }
  }

  async begin(digest: Digest): Promise<PartialContent> {
    const file = partialFile(digest, ++this.#attempts);
    const handle = await open(path.join(this.#root, file), 'wx', FILE_MODE);
    return new PartialFile(this.#root, file, digest, handle);
  }
}

class PartialFile implements PartialContent {
  readonly file: string;
  readonly #root: string;
  readonly #digest: Digest;
  readonly #handle: FileHandle;

  constructor(root: string, file: string, digest: Digest, handle: FileHandle) {
    this.#root = root;
    this.file = file;
    this.#digest = digest;
    this.#handle = handle;
  }

  async append(bytes: Uint8Array): Promise<void> {
    // writeFile on a handle goes on where the last write ended, and writes on after a short write.
    await this.#handle.writeFile(bytes);
  }

  async publish(): Promise<void> {
    const directory = path.join(this.#root, blobDirectory(this.#digest));
    await this.#handle.sync();
    await this.#handle.close();
    await makeDirectory(directory);
    await rename(path.join(this.#root, this.file), path.join(this.#root, blobFile(this.#digest)));
    await syncDirectory(directory);
  }

  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await unlink(path.join(this.#root, this.file)).catch(absent);
  }
}

async function makeDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (made !== undefined) await syncDirectory(path.dirname(directory));
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
