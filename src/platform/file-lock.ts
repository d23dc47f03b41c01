import { randomBytes } from 'node:crypto';
import { link, readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds. Whoever holds a lock reads and writes one small file. */
const PATIENCE = 5_000;
const LOOK_AGAIN_AFTER = 20;

/** Thrown to whoever has waited for a lock in vain. */
class LockedError extends Error {
  override readonly name = 'LockedError';
}

/**
 * Runs `act` while no other process is in here for the same file. The lock is a file beside it that names its holder; that
 * of a process which has died is taken over. One of another machine, or container, cannot be judged, and is waited for.
 *
 * @throws LockedError where somebody else holds it for longer than `patience` milliseconds.
 */
export async function withFileLock<T>(file: string, act: () => Promise<T>, patience = PATIENCE): Promise<T> {
  const lock = `${file}.lock`;
  const mine = `${process.pid} ${hostname()} ${randomBytes(8).toString('hex')}`;
  const end = performance.now() + patience;
  while (!(await take(lock, mine))) {
    const holder = await read(lock);
    if (holder !== undefined && isDead(holder)) await takeAway(lock, holder);
    else if (performance.now() > end) throw inUse(lock, holder);
    else if (holder !== undefined) await delay(LOOK_AGAIN_AFTER);
  }
  try {
    return await act();
  } finally {
    await unlink(lock);
  }
}

/** By link(2), which like O_EXCL is for one alone, but shows nobody a lock that does not name its holder yet. */
async function take(lock: string, mine: string): Promise<boolean> {
  const named = `${lock}.${randomBytes(6).toString('hex')}.tmp`;
  // Others may read it: there is nothing in it, and they need to know whether its holder lives.
  await writeFile(named, mine, { flag: 'wx', mode: 0o644 });
  try {
    await link(named, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    await unlink(named);
  }
}

/** Undefined: it has gone. */
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
    // EPERM: it lives, and is another user's.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/**
 * Of several who find a dead holder's lock, one may remove it: whoever removes what another has seen could remove the
 * lock that a third has taken meanwhile.
 */
async function takeAway(lock: string, holder: string): Promise<void> {
  const right = `${lock}.${holder.split(' ').at(-1)}.stale`;
  try {
    await writeFile(right, '', { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
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
