import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { isAbsent } from './regular-file.ts';

/**
 * Replaces a file as a whole: whoever reads it, also after a power cut, finds the old bytes or the new ones. The mode
 * holds from the first byte on, whatever the umask lets through. The owner stays who it was, or is the directory's: what
 * root writes for a service must stay the service's to read. A symbolic link stays, and the file behind it is replaced.
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
 * The file to which symbolic links lead; itself, where there is no file of this name. What replaced a link would leave the
 * file behind it as it was, and that is the one that somebody keeps, as in git.
 *
 * @throws where a link leads to nothing.
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
 * Writes files that do not exist yet: all of them or none, and never over what somebody else has put there meanwhile.
 *
 * @throws with the code EEXIST where one of them is there.
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
  // Only root may give files away, and only root's would be anybody else's.
  if (own.uid === 0 && (uid !== own.uid || gid !== own.gid)) await handle.chown(uid, gid);
}

/** Makes a rename or a new name in `directory` survive a power cut: fsync(2) of a file does not cover its entry. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
