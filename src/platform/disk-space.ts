import { statfs } from 'node:fs/promises';

export interface DiskSpace {
  /** The size in bytes. */
  readonly total: number;
  /** The bytes that this process may still write. */
  readonly free: number;
  /** The number of inodes; 0 for file systems that create inodes on demand. */
  readonly files: number;
  readonly freeFiles: number;
}

/** Returns the space of the disk that contains `directory`. */
export async function diskSpace(directory: string): Promise<DiskSpace> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(directory);
  return { total: blocks * bsize, free: bavail * bsize, files, freeFiles: ffree };
}
