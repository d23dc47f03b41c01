/** Tells the failures of a disk, which stop whoever writes to it, from those of a file or its owner. */
import { accessSync, constants, statfsSync } from 'node:fs';
import path from 'node:path';
import { reasonOf, systemFailure } from './reason.ts';

/** The disk is read-only, full, at the end of a quota, or broken. */
const OF_A_DISK = new Set(['EROFS', 'ENOSPC', 'EDQUOT', 'EIO']);

/** What SQLite says of such a disk: SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN. */
const RESULT_CODES = new Set([8, 10, 13, 14]);

/** Could something not be written because of its disk? */
export function isDiskFailure(error: unknown): boolean {
  return OF_A_DISK.has(systemFailure(error)?.code ?? '');
}

/** In words, why the disk of `file` cannot be written; undefined if `error` has another reason. */
export function diskFailure(file: string, error: unknown): string | undefined {
  const failure = systemFailure(error);
  if (failure !== undefined && !isDiskFailure(failure)) return undefined;
  if (failure !== undefined)
    return (failure.code === 'ENOSPC' ? whatIsLacking(file) : undefined) ?? reasonOf(failure);
  if (!isOfSqlite(error)) return undefined;
  // SQLite does not tell a full disk from a file that it may not open; the file system does.
  for (const one of [path.dirname(file), file]) {
    const refusal = whyNotWritable(one);
    if (refusal !== undefined) return diskFailure(file, refusal);
  }
  return whatIsLacking(file) ?? (error as Error).message;
}

/** It is not opened for that: closing it would take away the locks that this process has on it. */
function whyNotWritable(file: string): NodeJS.ErrnoException | undefined {
  try {
    accessSync(file, constants.W_OK);
    return undefined;
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    return failure.code === 'ENOENT' ? undefined : failure;
  }
}

function isOfSqlite(error: unknown): boolean {
  const { errcode } = error as { errcode?: number };
  return errcode !== undefined && RESULT_CODES.has(errcode & 0xff);
}

function whatIsLacking(file: string): string | undefined {
  try {
    const { bavail, files, ffree } = statfsSync(path.dirname(file));
    if (files > 0 && ffree === 0) return 'the disk has no inodes left';
    return bavail === 0 ? 'the disk is full' : undefined;
  } catch {
    return undefined;
  }
}
