/**
 * Distinguishes failures of a disk, which affect everybody who writes to it, from failures of one file or its
 * owner.
 */
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { messageOf, reasonOf, systemFailure } from './reason.ts';

/** The codes of a disk that is read-only, full, over a quota, or broken. */
const OF_A_DISK = new Set(['EROFS', 'ENOSPC', 'EDQUOT', 'EIO']);

/** The codes of SQLite for such a disk: SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN. */
const CANNOT_OPEN = 14;
const RESULT_CODES = new Set([8, 10, 13, CANNOT_OPEN]);

/** True if a write failed because of the disk. */
export function isDiskFailure(error: unknown): boolean {
  return OF_A_DISK.has(systemFailure(error)?.code ?? '');
}

/** Returns in words why the disk of `file` cannot be written; undefined if `error` has another reason. */
export function diskFailure(file: string, error: unknown): string | undefined {
  const failure = systemFailure(error);
  if (failure !== undefined && !isDiskFailure(failure)) return undefined;
  if (failure !== undefined)
    return (failure.code === 'ENOSPC' ? whatIsLacking(file) : undefined) ?? reasonOf(failure);
  if (!RESULT_CODES.has(sqliteResultCode(error) ?? 0)) return undefined;
  // SQLite uses one code for a full disk and for a file that it may not open; the file system distinguishes
  // them.
  for (const one of [isThere(path.dirname(file)), isThere(file)]) {
    const refusal = whyNotWritable(one);
    if (refusal !== undefined) return diskFailure(file, refusal);
  }
  // If the disk can be written, the file cannot be opened for another reason.
  const other = sqliteResultCode(error) === CANNOT_OPEN ? undefined : messageOf(error);
  return whatIsLacking(file) ?? other;
}

/**
 * The file is not opened for this check, because closing it would release the locks that this process holds
 * on it.
 */
function whyNotWritable(file: string): unknown {
  try {
    accessSync(file, constants.W_OK);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Returns the primary result code of SQLite, which is the lowest byte of an extended one. */
export function sqliteResultCode(error: unknown): number | undefined {
  const isOfSqlite = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number';
  return isOfSqlite ? Number(error.errcode) & 0xff : undefined;
}

/** Returns the file, or the nearest existing directory above it. */
function isThere(file: string): string {
  return existsSync(file) ? file : isThere(path.dirname(file));
}

function whatIsLacking(file: string): string | undefined {
  try {
    const { bavail, files, ffree } = statfsSync(isThere(path.dirname(file)));
    if (files > 0 && ffree === 0) return 'the disk has no inodes left (ENOSPC)';
    return bavail === 0 ? 'the disk is full (ENOSPC)' : undefined;
  } catch {
    return undefined;
  }
}
