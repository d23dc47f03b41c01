/** Tells the failures of a disk, which stop whoever writes to it, from those of a file or its owner. */
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { reasonOf, systemFailure } from './reason.ts';

/** The disk is read-only, full, at the end of a quota, or broken. */
const OF_A_DISK = new Set(['EROFS', 'ENOSPC', 'EDQUOT', 'EIO']);

/** What SQLite says of such a disk: SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN. */
const CANNOT_OPEN = 14;
const RESULT_CODES = new Set([8, 10, 13, CANNOT_OPEN]);

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
  if (!RESULT_CODES.has(codeOf(error) ?? 0)) return undefined;
  // SQLite does not tell a full disk from a file that it may not open; the file system does.
  for (const one of [isThere(path.dirname(file)), isThere(file)]) {
    const refusal = whyNotWritable(one);
    if (refusal !== undefined) return diskFailure(file, refusal);
  }
  // A file that cannot be opened although its disk lets it be written has another fault.
  const other = codeOf(error) === CANNOT_OPEN ? undefined : (error as Error).message;
  return whatIsLacking(file) ?? other;
}

/** It is not opened for that: closing it would take away the locks that this process has on it. */
function whyNotWritable(file: string): NodeJS.ErrnoException | undefined {
  try {
    accessSync(file, constants.W_OK);
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

function codeOf(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined ? undefined : errcode & 0xff;
}

/** The file, or what is there of the directories above it. */
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
