import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { MountNamespace } from './mount-namespace.ts';

const MIB = 1024 * 1024;
const DISK_SIZE = 256 * MIB;
/** A little larger than the disk's image, which lies there. */
const SHELF_SIZE = 320 * MIB;

/**
 * A disk whose power can be cut: an ext4 in an image. What the image holds has reached the disk; what ext4 has not
 * written back is in memory alone, and in no copy of the image. A power cut is one moment, and so is the copy: the image
 * lies on a shelf, a file system of its own, which is frozen meanwhile, and what is written to the disk waits.
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

  /** Where it is mounted, in the namespace. */
  get mounted(): string {
    return path.join(this.#directory, 'disk');
  }

  /** Writes to `image` what has reached the disk by now. The disk goes on. */
  async cut(image: string): Promise<void> {
    // One command, so that nothing stays frozen should this process end meanwhile.
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
  // By default ext4 writes its journal every 5 s: what nobody has synced would seem safe soon.
  await namespace.run('mount', '-o', 'loop,commit=300', image, point);
}

/** Why there can be no such disk here; undefined where there can. */
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
