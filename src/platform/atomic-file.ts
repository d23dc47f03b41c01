import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { isAbsent } from './regular-file.ts';

/**
 * Replaces a file as a whole: a reader finds the old bytes or the new ones, even after a power cut. The mode
 * is set before the first byte is written, whatever the umask is. The owner stays the same, or is that of the
 * directory: a file that root writes for a service must still belong to the service. A symbolic link stays,
 * and the file behind it is replaced.
 */
export async function writeFileAtomically(
  file: string,
  bytes: string | Uint8Array,
  mode: number,
): Promise<void> {
  const target = await behindLinks(file);
  const temporary = await writeTemporary({ file: target, bytes, mode });
  try {
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(path.dirname(target));
}

/**
 * Returns the file to which symbolic links lead, or the name itself if there is no such file. If the link
 * were replaced, the file behind it would stay as it was, and that is the one that somebody maintains, for
 * example in git.
 *
 * @throws if a link leads to nothing
 */
export async function behindLinks(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    if (await isAbsent(file, error)) return file;
    throw error;
  }
}

export interface NewFile {
  readonly file: string;
  readonly bytes: string | Uint8Array;
  readonly mode: number;
}

/**
 * Writes files that do not exist yet. It writes all of them or none, and never overwrites a file that
 * somebody else has created meanwhile.
 *
 * @throws with the code EEXIST if one of them exists
 */
export async function createFiles(files: readonly NewFile[]): Promise<void> {
  const temporaries: string[] = [];
  const made: string[] = [];
  try {
    for (const file of files) temporaries.push(await writeTemporary(file));
    for (const [index, { file }] of files.entries()) {
      // link(2), unlike rename(2), does not replace an existing file.
      await link(temporaries[index] ?? '', file);
      made.push(file);
    }
  } catch (error) {
    for (const file of made) await unlink(file);
    throw error;
  } finally {
    for (const temporary of temporaries) await unlink(temporary).catch(() => {});
  }
  for (const directory of new Set(files.map(({ file }) => path.dirname(file))))
    await syncDirectory(directory);
}

/** Writes the bytes to a temporary file beside `file`. The caller must rename or remove it. */
async function writeTemporary({ file, bytes, mode }: NewFile): Promise<string> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', mode);
  try {
    try {
      await handle.chmod(mode);
      await keepOwner(handle, file);
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return temporary;
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

async function keepOwner(handle: FileHandle, file: string): Promise<void> {
  const { uid, gid } = await stat(file).catch(() => stat(path.dirname(file)));
  const own = await handle.stat();
  // Only root may change the owner, and only a file of root's could have the wrong one.
  if (own.uid === 0 && (uid !== own.uid || gid !== own.gid)) await handle.chown(uid, gid);
}

/**
 * Makes a rename or a new name in `directory` survive a power cut: fsync(2) of a file does not cover its
 * entry.
 */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
