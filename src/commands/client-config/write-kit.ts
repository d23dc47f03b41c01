import { mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

/** A file of a kit, as it will be below the directory that was asked for. */
export interface FilledFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/** Appends the client's own path to `directory`. */
export function placeIn(directory: string, file: string): string {
  return path.join(directory, file);
}

/**
 * True if another file is already there. Nothing is ever overwritten; a file with the same bytes is left as
 * it is.
 */
export async function isTaken(file: string, text: string | undefined): Promise<boolean> {
  const there = await textOf(file);
  return there !== undefined && there !== text;
}

/** Writes all files or none: if one fails, those that were written are removed again. */
export async function writeKit(directory: string, files: readonly FilledFile[]): Promise<void> {
  const made: string[] = [];
  try {
    for (const { path: name, mode, text } of files) {
      const file = placeIn(directory, name);
      if ((await textOf(file)) === text) continue;
      const first = await mkdir(path.dirname(file), { recursive: true });
      if (first !== undefined) made.push(first);
      await using handle = await open(file, 'wx', mode);
      made.push(file);
      // The mode must hold whatever the umask is, because the daemon's user has to read the file too.
      await handle.chmod(mode);
      await handle.writeFile(text);
    }
  } catch (error) {
    for (const one of made.reverse()) await rm(one, { recursive: true, force: true });
    throw error;
  }
}

/** Returns undefined if there is no such file. */
async function textOf(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
}
