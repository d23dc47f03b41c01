import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, readdir, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../platform/atomic-file.ts';
import { diskSpace } from '../../platform/disk-space.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import type { PullOutcome } from '../pull/outcome.ts';
import type { PulledBlob } from '../pull/pulled-blob.ts';
import { BLOB_DIRECTORIES, blobDirectory, blobFile, digestOfBlob } from '../store/layout.ts';
import type { CompleteUpload, HostedContent, StoredUpload, WantedBlob } from './hosted-content.ts';
import type { HostedStep } from './hosted-step.ts';
import { UPLOADS_DIRECTORY, uploadFile } from './layout.ts';

/** Only the gateway, which may be another user of the same group, also reads the files. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** The files of the hosted repositories: verified blobs by their digest, and uploads by their id. */
export class HostedFiles implements HostedContent {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async prepare(): Promise<void> {
    await this.makeDirectories();
    for (const name of await readdir(path.join(this.#root, UPLOADS_DIRECTORY))) await this.removeUpload(name);
  }

  /** Creates all directories and syncs their entries, so that a publication need not. */
  async makeDirectories(): Promise<void> {
    const prefixes = Array.from({ length: 256 }, (_, at) => at.toString(16).padStart(2, '0'));
    for (const directory of [UPLOADS_DIRECTORY, 'blobs', ...BLOB_DIRECTORIES])
      await makeDirectory(path.join(this.#root, directory));
    for (const directory of BLOB_DIRECTORIES) {
      const parent = path.join(this.#root, directory);
      const existing = new Set(await readdir(parent));
      const missing = prefixes.filter((prefix) => !existing.has(prefix));
      for (const prefix of missing) await mkdir(path.join(parent, prefix), { mode: DIRECTORY_MODE });
      if (missing.length > 0) await syncDirectory(parent);
    }
  }

  createUpload(id: string): Promise<FileHandle> {
    return open(this.uploadPath(id), 'wx+', FILE_MODE);
  }

  async removeUpload(id: string): Promise<void> {
    await unlink(this.uploadPath(id)).catch(ignoreAbsent);
  }

  whyNoPush(): undefined {}

  async publish({ id, handle, digest }: CompleteUpload): Promise<StoredUpload> {
    await handle.sync();
    await handle.close();
    await rename(this.uploadPath(id), path.join(this.#root, blobFile(digest)));
    await syncDirectory(path.join(this.#root, blobDirectory(digest)));
    return PUBLISHED_FILE;
  }

  /** Looks for a blob that was published already, and compares it with its digest. */
  async findStored(digest: Digest, size: number): Promise<StoredUpload | undefined> {
    return (await this.whyDamaged(digest, size)) === undefined ? PUBLISHED_FILE : undefined;
  }

  async find({ digest, size }: WantedBlob): Promise<PullOutcome<PulledBlob>> {
    const location = { kind: 'hosted-file', file: blobFile(digest), size } as const;
    return { kind: 'found', cache: 'hit', blob: 'stored', location };
  }

  *forget(): HostedStep<void> {}

  async remove(digest: Digest): Promise<void> {
    await unlink(path.join(this.#root, blobFile(digest))).catch(ignoreAbsent);
  }

  async *listOlder(time: number): AsyncGenerator<Digest, void> {
    for (const directory of BLOB_DIRECTORIES) {
      const entries = await opendir(path.join(this.#root, directory), { recursive: true });
      for await (const entry of entries) {
        const digest = entry.isFile() ? digestOfBlob(path.basename(directory), entry.name) : undefined;
        if (digest === undefined) continue;
        const stats = await stat(path.join(this.#root, blobFile(digest))).catch(ignoreAbsent);
        if (stats !== undefined && stats.mtimeMs < time) yield digest;
      }
    }
  }

  uploadPath(id: string): string {
    return path.join(this.#root, uploadFile(id));
  }

  /** Returns the path of a blob, for a backup. */
  pathOf(digest: Digest): string {
    return path.join(this.#root, blobFile(digest));
  }

  async whyDamaged(digest: Digest, size: number): Promise<string | undefined> {
    const stats = await stat(this.pathOf(digest)).catch(ignoreAbsent);
    if (stats === undefined) return 'its file is missing';
    if (stats.size !== size) return `its file has ${stats.size} bytes instead of ${size}`;
    const hash = startHash(digest);
    for await (const chunk of createReadStream(this.pathOf(digest), { highWaterMark: 512 * 1024 }))
      hash.update(chunk);
    return matchesDigest(hash, digest) ? undefined : 'its bytes are not those of its digest';
  }

  space(): Promise<{ readonly total: number; readonly free: number }> {
    return diskSpace(this.#root);
  }
}

/** The digest names the file. Nothing else does, and the caller knows whether another repository has it. */
const PUBLISHED_FILE: StoredUpload = { kind: 'stored', *record() {}, settle: async () => {} };

async function makeDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (made !== undefined) await syncDirectory(path.dirname(directory));
}

function ignoreAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
