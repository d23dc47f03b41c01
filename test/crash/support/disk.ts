import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { MountNamespace } from './mount-namespace.ts';

const MIB = 1024 * 1024;
const DISK_SIZE = 256 * MIB;
/** The shelf is a little larger than the disk's image on it. */
const SHELF_SIZE = 320 * MIB;

/**
 * A disk whose power can be cut: an ext4 in an image. The content of the image has reached the disk. What
 * ext4 has not written back is only in memory, and in no copy of the image. A power cut is one moment, and so
 * is the copy: the image is on a file system of its own (the shelf), which is frozen during the copy, and
 * writes to the disk wait.
 */
export class Disk {
  readonly #namespace: MountNamespace;
  readonly #directory: string;

  static async make(namespace: MountNamespace, directory: string): Promise<Disk> {
    const disk = new Disk(namespace, directory);
    await mkdir(directory, { recursive: true });
    await makeImage(namespace, path.join(directory, 'shelf.img'), SHELF_SIZE);
    await mountImage(namespace, path.join(directory, 'shelf.img'), disk.#shelf);
    await makeImage(namespace, path.join(disk.#shelf, 'disk.img'), DISK_SIZE);
    await mountImage(namespace, path.join(disk.#shelf, 'disk.img'), disk.mounted);
    return disk;
  }

  private constructor(namespace: MountNamespace, directory: string) {
    this.#namespace = namespace;
    this.#directory = directory;
  }

  get #shelf(): string {
    return path.join(this.#directory, 'shelf');
  }

  /** The mount point in the namespace. */
  get mounted(): string {
    return path.join(this.#directory, 'disk');
  }

  /** Writes to `image` what has reached the disk by now. The disk continues. */
  async cut(image: string): Promise<void> {
    // It is one command, so that nothing stays frozen if this process ends meanwhile.
    const script =
      'trap "fsfreeze --unfreeze $0" EXIT; fsfreeze --freeze $0; cp --sparse=always $0/disk.img $1';
    await this.#namespace.run('sh', '-ec', script, this.#shelf, image);
  }

  async unmount(): Promise<void> {
    for (const mounted of [this.mounted, this.#shelf]) await this.#namespace.run('umount', mounted);
    await rm(path.join(this.#directory, 'shelf.img'));
  }
}

export async function makeImage(namespace: MountNamespace, image: string, size: number): Promise<void> {
  await namespace.run('truncate', '--size', String(size), image);
  await namespace.run('mkfs.ext4', '-q', '-F', image);
}

export async function mountImage(namespace: MountNamespace, image: string, point: string): Promise<void> {
  await mkdir(point, { recursive: true });
  // By default ext4 writes its journal every 5 s, so that unsynced data would soon seem safe.
  await namespace.run('mount', '-o', 'loop,commit=300', image, point);
}

/** Returns why there can be no such disk here; undefined if there can. */
export async function whyNoDisk(directory: string): Promise<string | undefined> {
  try {
    await using namespace = await MountNamespace.make();
    const disk = await Disk.make(namespace, directory);
    await disk.unmount();
    return undefined;
  } catch (error) {
    return `file systems in images cannot be mounted here: ${(error as Error).message}`;
  }
}
