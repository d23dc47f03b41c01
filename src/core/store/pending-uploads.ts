/**
 * The contents of this disk that the object store of the cluster does not have yet. Each is recorded as an
 * empty file before the content is published, so that no kill and no power cut makes the node forget it.
 */
import { mkdir, readdir, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../platform/atomic-file.ts';
import { isErrno } from '../../platform/reason.ts';
import type { Digest } from '../../registry/digest.ts';
import { digestOfPending, PENDING_DIRECTORY, pendingFile } from './layout.ts';

export class PendingUploads {
  readonly #root: string;
  readonly #digests: Set<Digest>;
  /** The digests that are recorded and not published yet. */
  readonly #expected = new Set<Digest>();
  /** Called with content that is to be put into the store. */
  onAdded: ((digest: Digest) => void) | undefined;
  /** Tells whether the store has content already. */
  isInObjectStore: (digest: Digest) => boolean = () => false;

  private constructor(root: string, digests: Set<Digest>) {
    this.#root = root;
    this.#digests = digests;
  }

  static async open(root: string): Promise<PendingUploads> {
    const directory = path.join(root, PENDING_DIRECTORY);
    // A disk that cannot be written publishes nothing either.
    await mkdir(directory, { recursive: true, mode: 0o750 }).catch(() => {});
    const names = await readdir(directory).catch(() => []);
    return new PendingUploads(root, new Set(names.flatMap((name) => digestOfPending(name) ?? [])));
  }

  get digests(): ReadonlySet<Digest> {
    return this.#digests;
  }

  /** Records content that is about to be published. */
  async expect(digest: Digest): Promise<void> {
    if (this.isInObjectStore(digest) || this.#digests.has(digest)) return;
    const file = path.join(this.#root, pendingFile(digest));
    await writeFile(file, '', { mode: 0o640 });
    await syncDirectory(path.dirname(file));
    this.#expected.add(digest);
  }

  /** Says that content was published. */
  published(digest: Digest): void {
    if (!this.#expected.delete(digest)) return;
    this.#digests.add(digest);
    this.onAdded?.(digest);
  }

  async remove(digest: Digest): Promise<void> {
    this.#digests.delete(digest);
    await unlink(path.join(this.#root, pendingFile(digest))).catch((error: Error) => {
      if (!isErrno(error, 'ENOENT')) throw error;
    });
  }
}
