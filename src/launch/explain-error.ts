/**
 * Explains to people why a command failed: it names the file that they know, the attempted operation, and
 * what to do.
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { sqliteResultCode } from '../platform/disk-failure.ts';
import { isPermissionDenied, messageOf, reasonOf, systemFailure } from '../platform/reason.ts';

/** The operation of each system call on a file. */
const ATTEMPTS: Readonly<Record<string, string>> = {
  open: 'opened',
  read: 'read',
  scandir: 'listed',
  opendir: 'listed',
  mkdir: 'made',
  unlink: 'removed',
  rm: 'removed',
  rename: 'replaced',
  connect: 'asked',
  listen: 'served on',
};

/** The names of the files beside a file that is being replaced or locked. Users do not know them. */
const TEMPORARY = /(?:\.lock)?(?:\.[0-9a-f]{12,16})?\.(?:tmp|stale|new)$|\.lock$/;

/** SQLite's code for "unable to open database file", which it also reports if permission is denied. */
const CANNOT_OPEN = 14;

export function explainError(error: unknown, home: string): string {
  const failure = systemFailure(error);
  if (failure === undefined) return explainDatabase(error, home) ?? messageOf(error);
  const { path: at, syscall = '' } = failure;
  // An earlier message has named the file and the failed operation.
  if (at === undefined) return `${messageOf(error)}${adviceFor(error, home)}`;
  const file = at.replace(TEMPORARY, '');
  const attempt = file === at ? (ATTEMPTS[syscall] ?? 'used') : 'written';
  return `${file} cannot be ${attempt}: ${reasonOf(failure)}${adviceFor(error, home)}`;
}

function explainDatabase(error: unknown, home: string): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause)
    if (sqliteResultCode(at) === CANNOT_OPEN) return `${messageOf(error)}; ${whoMustRun(home)}`;
  return undefined;
}

function adviceFor(error: unknown, home: string): string {
  return isPermissionDenied(error) ? `; ${whoMustRun(home)}` : '';
}

/** Names the owner of the home, as far as this user can see it. */
export function whoMustRun(home: string): string {
  const owner = ownerOf([path.join(home, 'state'), path.join(home, 'run'), home]);
  if (owner === undefined) return 'run this as the user that the mirror runs as, or as root';
  if (owner === process.getuid?.())
    return 'this user may not do that; look at the modes of the file and of the directories above it';
  const name = nameOf(owner) ?? `#${owner}`;
  if (owner === 0) return 'run this as root, whose home this is: sudo hubgate …';
  return `run this as ${name} (the service's user) or root: sudo -u ${name} hubgate …`;
}

function ownerOf(directories: readonly string[]): number | undefined {
  for (const directory of directories) {
    try {
      return statSync(directory).uid;
    } catch {
      // The path does not exist, or lies in a directory that this user may not enter: try the directory
      // above.
    }
  }
  return undefined;
}

function nameOf(uid: number): string | undefined {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((one) => one.split(':')[2] === String(uid));
    return line?.split(':')[0];
  } catch {
    return undefined;
  }
}
