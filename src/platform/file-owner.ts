/**
 * Checks who may change a file that decides what is allowed, by its owner and mode. This module does not read
 * such files.
 */
import { constants, type Stats } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Fault } from './fault.ts';
import { whileAnswering } from './regular-file.ts';

/** The numeric ids of users and groups that may write the files on which this process relies. */
export interface TrustedIds {
  readonly users: ReadonlySet<number>;
  readonly groups: ReadonlySet<number>;
}

const STICKY = 0o1000;
const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;

/**
 * Trusts this user, root, and the owners of the directories that exist: the owner of the home can replace
 * everything in it anyway. The trusted groups are those of the directories and of this process, such as the
 * group of a volume (`fsGroup`).
 */
export async function trustedIds(directories: readonly string[]): Promise<TrustedIds> {
  const found = await Promise.all(directories.map((one) => stat(one).catch(() => undefined)));
  const owners = found.filter((stats) => stats !== undefined);
  return {
    users: new Set([0, process.geteuid?.() ?? 0, ...owners.map(({ uid }) => uid)]),
    groups: new Set([
      0,
      process.getegid?.() ?? 0,
      ...(process.getgroups?.() ?? []),
      ...owners.map(({ gid }) => gid),
    ]),
  };
}

/** Returns a fault if another user owns the file or may write it; none if the file does not exist. */
export async function untrustedFault(
  file: string,
  trusted: TrustedIds,
  { ofRootIsGood = false } = {},
): Promise<Fault | undefined> {
  const stats = await whileAnswering(file, () => stat(file)).catch(() => undefined);
  // Files that cannot be seen, devices and FIFOs are not read either, and another check reports them.
  if (stats === undefined || !(stats.isFile() || stats.isDirectory())) return undefined;
  if (ofRootIsGood && stats.uid === 0) return undefined;
  const isOfGroup = await isSharedByGroup(file, stats, trusted);
  const message =
    (isOfGroup ? undefined : ownerFault(file, stats, trusted)) ?? modeFault(file, stats, trusted);
  return message === undefined || (await isReadOnly(file)) ? undefined : { source: file, message };
}

/**
 * True if the file is below a directory that a trusted group may write, and belongs to that group, for
 * example because the roles of a pod run as different users. Each member of the group can replace the file,
 * so its owner is as trusted as the group.
 */
async function isSharedByGroup(file: string, { gid }: Stats, { groups }: TrustedIds): Promise<boolean> {
  if (gid === 0 || !groups.has(gid)) return false;
  for (let at = path.dirname(file); at !== path.dirname(at); at = path.dirname(at)) {
    const directory = await stat(at).catch(() => undefined);
    if (directory?.gid === gid && (directory.mode & GROUP_WRITE) !== 0) return true;
  }
  return false;
}

function ownerFault(file: string, { uid }: Stats, { users }: TrustedIds): string | undefined {
  if (users.has(uid)) return undefined;
  const own = process.geteuid?.() ?? 0;
  return `belongs to user ${uid}, who can change what user ${own} goes by; type: chown ${own} '${file}', or mount it read-only`;
}

function modeFault(file: string, stats: Stats, { groups }: TrustedIds): string | undefined {
  // In a directory with the sticky bit, no user can replace another user's file.
  if (stats.isDirectory() && (stats.mode & STICKY) !== 0) return undefined;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  if ((stats.mode & OTHERS_WRITE) !== 0)
    return `has the mode ${mode}: everybody may write it; type: chmod o-w '${file}'`;
  if ((stats.mode & GROUP_WRITE) === 0 || groups.has(stats.gid)) return undefined;
  return `has the mode ${mode}: group ${stats.gid} may write it, to which this user does not belong; type: chmod g-w '${file}'`;
}

/** An administrator owns a read-only mount, such as a config map, and nobody can write to it. */
async function isReadOnly(file: string): Promise<boolean> {
  return access(file, constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EROFS',
  );
}
