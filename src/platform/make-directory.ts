import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from './reason.ts';

/**
 * Makes the directory and those above it, if they are missing. On a read-only disk, Node only says that
 * something is absent.
 */
export async function makeDirectory(directory: string, mode: number): Promise<string | undefined> {
  try {
    return await mkdir(directory, { recursive: true, mode });
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    const made = await makeDirectory(path.dirname(directory), mode);
    // Without `recursive`, mkdir reports the actual error.
    await mkdir(directory, { mode });
    return made ?? directory;
  }
}
