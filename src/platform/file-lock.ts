import { randomBytes } from 'node:crypto';
import { link, readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from './reason.ts';

/** The time-out in milliseconds for one holder of a lock, which only reads and writes one small file. */
const PATIENCE = 5_000;
/** The time-out for all holders together, as a multiple of the one for one holder. */
const HOLDERS = 12;
const LOOK_AGAIN_AFTER = 20;

/** Thrown if a lock did not become free in time. */
class LockedError extends Error {
  override readonly name = 'LockedError';
}

/**
 * Runs `act` while no other process does so for the same file. The lock is a file beside it that names its
 * holder. The lock of a dead process is taken over. Whether a process on another machine, or in another
 * container, is dead cannot be determined, so its lock is waited for.
 *
 * @throws LockedError if one other process holds the lock for longer than `patience` milliseconds, or several
 *   processes hold it one after the other for 12 times as long
 */
export async function withFileLock<T>(file: string, act: () => Promise<T>, patience = PATIENCE): Promise<T> {
  const lock = `${file}.lock`;
  const mine = `${process.pid} ${hostname()} ${randomBytes(8).toString('hex')}`;
  const last = performance.now() + HOLDERS * patience;
  let end = performance.now() + patience;
  let previous: string | undefined;
  while (!(await take(lock, mine))) {
    const holder = await read(lock);
    const now = performance.now();
    if (holder !== previous) end = Math.min(now + patience, last);
    previous = holder;
    if (holder !== undefined && isDead(holder)) await takeAway(lock, holder);
    else if (now > end) throw inUse(lock, holder);
    else if (holder !== undefined) await delay(LOOK_AGAIN_AFTER);
  }
  try {
    return await act();
  } finally {
    await unlink(lock);
  }
}

/**
 * Takes the lock by link(2). Only one process succeeds, as with O_EXCL, but nobody ever sees a lock that does
 * not name its holder yet.
 */
async function take(lock: string, mine: string): Promise<boolean> {
  const named = `${lock}.${randomBytes(6).toString('hex')}.tmp`;
  // Others may read the file: it contains no secret, and they need to know whether its holder lives.
  await writeFile(named, mine, { flag: 'wx', mode: 0o644 });
  try {
    await link(named, lock);
    return true;
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    return false;
  } finally {
    await unlink(named);
  }
}

/** Returns undefined if the lock has gone. */
async function read(lock: string): Promise<string | undefined> {
  return readFile(lock, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

function isDead(holder: string): boolean {
  const [pid, host] = holder.split(' ');
  if (host !== hostname() || !/^[1-9]\d*$/.test(pid ?? '')) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    // With EPERM, the process lives and belongs to another user.
    return isErrno(error, 'ESRCH');
  }
}

/**
 * Removes a dead holder's lock. Only one of several processes that find it may do so, because the others
 * might remove a lock that was taken meanwhile.
 */
async function takeAway(lock: string, holder: string): Promise<void> {
  const right = `${lock}.${holder.split(' ').at(-1)}.stale`;
  try {
    await writeFile(right, '', { flag: 'wx' });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    await delay(LOOK_AGAIN_AFTER);
    return;
  }
  try {
    if ((await read(lock)) === holder) await unlink(lock);
  } finally {
    await unlink(right);
  }
}

function inUse(lock: string, holder: string | undefined): LockedError {
  const [pid, host] = (holder ?? '').split(' ');
  const who = pid && host ? `process ${pid} on ${host}` : 'another process';
  return new LockedError(`${who} holds ${lock}; if there is no such process any more, remove that file`);
}
