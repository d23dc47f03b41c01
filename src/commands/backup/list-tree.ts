import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../../platform/reason.ts';

/**
 * A file or directory below a root. If it is a symbolic link, `stats` are those of what the link leads to.
 */
export interface TreeEntry {
  /** The path below the root. */
  readonly at: string;
  readonly stats: Stats;
}

export interface Tree {
  readonly directories: readonly TreeEntry[];
  readonly files: readonly TreeEntry[];
  /** The paths of what cannot be copied: sockets, devices, and links that lead to nothing. */
  readonly others: readonly string[];
}

/** Links can lead in a circle. */
const DEEPEST = 32;

/** Lists the entries of these directories below `root`, if these exist, except for paths that `isSkipped`. */
export async function listTree(
  root: string,
  tops: readonly string[],
  isSkipped: (at: string) => boolean = () => false,
): Promise<Tree> {
  const tree = { directories: [] as TreeEntry[], files: [] as TreeEntry[], others: [] as string[] };
  const visit = async (at: string, depth: number): Promise<void> => {
    if (isSkipped(at)) return;
    if (depth > DEEPEST) throw new Error(`${path.join(root, at)} is too deep; does a link lead in a circle?`);
    const stats = await statIfThere(path.join(root, at));
    if (stats?.isFile()) tree.files.push({ at, stats });
    else if (!stats?.isDirectory()) tree.others.push(at);
    else {
      tree.directories.push({ at, stats });
      for (const name of (await readdir(path.join(root, at))).toSorted())
        await visit(path.join(at, name), depth + 1);
    }
  };
  for (const top of tops) if ((await statIfThere(path.join(root, top))) !== undefined) await visit(top, 0);
  return tree;
}

async function statIfThere(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
