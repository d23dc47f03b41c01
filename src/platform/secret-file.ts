import { lstat, stat } from 'node:fs/promises';
import type { Fault } from './fault.ts';

/**
 * The permissions that a secret file may not have: any for others, and writing for the group. Reading by the
 * group is allowed, because roles of several users share a file so, and because Kubernetes gives a secret to
 * a container that is not root so.
 */
const LOOSE = 0o027;

/**
 * Returns why a secret file is refused because of its mode, and what to type; undefined if it is not refused,
 * or cannot be seen from here.
 */
export async function whyTooOpen(file: string): Promise<string | undefined> {
  // A symbolic link has no mode of its own. Kubernetes mounts each key of a secret as one.
  const stats = await stat(file).catch(() => undefined);
  if (stats === undefined || !stats.isFile() || (stats.mode & LOOSE) === 0) return undefined;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  const who = (stats.mode & 0o007) === 0 ? 'its group may write it' : 'others may read or write it';
  const isLink = (await lstat(file)).isSymbolicLink();
  const kubernetes = isLink ? ' (for a volume of Kubernetes: defaultMode: 0440)' : '';
  return `has the mode ${mode}: ${who}; type: chmod g-w,o-rwx '${file}'${kubernetes}`;
}

/**
 * Returns a fault for each of these secret files that others can read or write, or that the group can write.
 */
export async function tooOpen(files: readonly string[]): Promise<readonly Fault[]> {
  const found = await Promise.all(
    files.map(async (file) => ({ source: file, message: await whyTooOpen(file) })),
  );
  return found.filter((fault): fault is Fault => fault.message !== undefined);
}
