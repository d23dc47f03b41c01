import { statfs } from 'node:fs/promises';

export interface DiskSpace {
  /** Bytes. */
  readonly total: number;
  /** Bytes that this process may still write. */
  readonly free: number;
  /** 0 on file systems that make inodes as they are needed. */
  readonly files: number;
  readonly freeFiles: number;
}

/** The space of the disk on which `directory` is. */
export async function diskSpace(directory: string): Promise<DiskSpace> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(directory);
  return { total: blocks * bsize, free: bavail * bsize, files, freeFiles: ffree };
}
