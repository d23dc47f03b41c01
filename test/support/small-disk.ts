import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MountNamespace } from '../crash/support/mount-namespace.ts';

/** A file system in memory, of its own and of few bytes, which can be filled and freed. Mounting takes root. */
export class SmallDisk implements AsyncDisposable {
  /** Where it is, for this process. */
  readonly directory: string;
  readonly #namespace: MountNamespace;
  readonly #mountPoint: string;

  /** Undefined where nothing may be mounted. `size`: as mount(8) takes it, such as `512k`. */
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

  /** Not a byte is left. */
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

  /** All that `fill` took is free again. */
  async free(): Promise<void> {
    await rm(path.join(this.directory, 'filler'), { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace[Symbol.asyncDispose]();
    await rm(this.#mountPoint, { recursive: true });
  }
}
