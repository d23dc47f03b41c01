import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from './reason.ts';
import { Deadline, DeadlineError } from './scheduling/deadline.ts';

/**
 * The deadline in milliseconds. A disk that takes longer counts as not answering, for example a network mount
 * whose server is gone.
 */
const PATIENCE = 5_000;
const KIB = 1024;
const MIB = KIB * KIB;

/** Thrown if a file exists but is of a kind that is not read. */
class UnfitFileError extends Error {
  override readonly name = 'UnfitFileError';
}

/**
 * Reads a file that a person may have written. It neither waits for a writer (a FIFO) nor reads without end
 * (a device): it reads only a regular file, of at most `most` bytes, and within a deadline.
 */
export function readRegularFile(file: string, most = MIB): Promise<Buffer> {
  return whileAnswering(file, async () => {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (!stats.isFile()) throw new UnfitFileError(`it is ${kindOf(stats)}, not a regular file`);
    if (stats.size > most) throw new UnfitFileError(tooLarge(most));
    return await readAtMost(handle, stats.size, most);
  });
}

/**
 * Reads a file that was named on a command line. It may also be a pipe, because shells pass `<(command)` as
 * one, and a person who waits for it can end the command. At most `most` bytes are read.
 */
export async function readNamedFile(file: string, most = MIB): Promise<Buffer> {
  const stats = await whileAnswering(file, () => stat(file));
  if (!stats.isFIFO()) return readRegularFile(file, most);
  await using handle = await open(file);
  return await readAtMost(handle, 0, most);
}

/** Like `readRegularFile`, but returns undefined if no file has this name. */
export async function readIfPresent(file: string, most?: number): Promise<Buffer | undefined> {
  try {
    return await readRegularFile(file, most);
  } catch (error) {
    if (await isAbsent(file, error)) return undefined;
    throw error;
  }
}

/**
 * True if `error` means that no file has this name. Any other error leaves the content unknown, and is a
 * fault. So is a symbolic link to nothing, because somebody has created the link.
 */
export async function isAbsent(file: string, error: unknown): Promise<boolean> {
  if (!isErrno(error, 'ENOENT')) return false;
  const linked = await whileAnswering(file, () => lstat(file)).catch((why: NodeJS.ErrnoException) => why);
  return 'code' in linked && linked.code === 'ENOENT';
}

/**
 * The last request for each directory. It belongs to the process, and not to a caller, because all callers
 * share the threads that a hanging call blocks.
 */
const asked = new Map<string, Promise<unknown>>();

/**
 * Returns the result of `ask`, or an error if the file system does not answer within `patience` milliseconds.
 * The files of one directory are requested one after the other, because a hanging call blocks one of the few
 * threads of the process.
 */
export async function whileAnswering<T>(
  file: string,
  ask: () => Promise<T>,
  patience = PATIENCE,
): Promise<T> {
  const directory = path.dirname(file);
  using deadline = new Deadline(patience);
  const { signal } = deadline;
  const before = asked.get(directory) ?? Promise.resolve();
  const asking = before
    .catch(() => {})
    .then(() => {
      signal.throwIfAborted();
      return ask();
    });
  asked.set(directory, asking);
  const forget = () => {
    if (asked.get(directory) === asking) asked.delete(directory);
  };
  void asking.then(forget, forget);
  try {
    return await deadline.bound(asking);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    throw new UnfitFileError(`no answer within ${patience / 1000} s`);
  }
}

async function readAtMost(handle: FileHandle, expected: number, most: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for (;;) {
    const room = Buffer.allocUnsafe(Math.max(expected + 1 - size, 64 * KIB));
    const { bytesRead } = await handle.read(room, 0, room.length);
    if (bytesRead === 0) return Buffer.concat(chunks);
    size += bytesRead;
    if (size > most) throw new UnfitFileError(tooLarge(most));
    chunks.push(room.subarray(0, bytesRead));
  }
}

function tooLarge(most: number): string {
  return `the file is larger than ${most >= MIB ? `${most / MIB} MiB` : `${most / KIB} KiB`}`;
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  return stats.isFIFO() ? 'a FIFO' : 'a device';
}
