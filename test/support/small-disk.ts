import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MountNamespace } from '../crash/support/mount-namespace.ts';

/** A small file system in memory, which can be filled and freed. Only root can mount it. */
export class SmallDisk implements AsyncDisposable {
  /** The path of the file system, for this process. */
  readonly directory: string;
  readonly #namespace: MountNamespace;
  readonly #mountPoint: string;

  /**
   * Returns undefined if this process may not mount. `size` has the form that mount(8) accepts, such as
   * `512k`.
   */
  static async make(size: string): Promise<SmallDisk | undefined> {
    const namespace = await MountNamespace.make().catch(() => undefined);
    if (namespace === undefined) return undefined;
    const mountPoint = await mkdtemp(path.join(tmpdir(), 'hubgate-disk-'));
    await namespace.run('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'none', mountPoint);
    return new SmallDisk(namespace, mountPoint);
  }

  private constructor(namespace: MountNamespace, mountPoint: string) {
    this.#namespace = namespace;
    this.#mountPoint = mountPoint;
    this.directory = namespace.outside(mountPoint);
  }

  /** Fills the disk until not a byte is left. */
  async fill(): Promise<void> {
    await mkdir(path.join(this.directory, 'filler'), { recursive: true });
    await using file = await open(path.join(this.directory, 'filler/bytes'), 'a');
    for (let size = 64 * 1024; size >= 1; )
      try {
        await file.write(Buffer.alloc(size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        size = Math.floor(size / 2);
      }
  }

  /** Frees all the space that `fill` took. */
  async free(): Promise<void> {
    await rm(path.join(this.directory, 'filler'), { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace[Symbol.asyncDispose]();
    await rm(this.#mountPoint, { recursive: true });
  }
}
