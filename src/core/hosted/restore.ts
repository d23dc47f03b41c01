import { mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../platform/atomic-file.ts';
import type { Logger } from '../../platform/log.ts';
import { isErrno } from '../../platform/reason.ts';
import type { VerifiedHosted } from '../../protocol/hosted-api.ts';
import { BLOB_DIRECTORIES } from '../store/layout.ts';
import { copyDurably, prepareEmpty } from './backup.ts';
import { HostedFiles } from './hosted-files.ts';
import { HOSTED_DATABASE_FILE, HOSTED_VERSION_FILE } from './layout.ts';
import { SqliteHostedDatabase } from './sqlite-hosted-database.ts';
import { verifyHosted } from './verify.ts';

export type RestoreOutcome =
  | { readonly kind: 'restored'; readonly verified: VerifiedHosted }
  | { readonly kind: 'refused'; readonly why: string };

/**
 * Copies a backup into the directory of the hosted repositories, which must be empty or absent, and verifies
 * the copy. No core may run on that directory. The backup is not changed.
 * @throws if a file cannot be read or written
 */
export async function restoreHosted(backup: string, directory: string, log: Logger): Promise<RestoreOutcome> {
  for (const name of [HOSTED_VERSION_FILE, HOSTED_DATABASE_FILE])
    if (!(await isFile(path.join(backup, name))))
      return { kind: 'refused', why: `${backup} is not a complete backup: ${name} is missing` };
  const why = await prepareEmpty(directory);
  if (why !== undefined)
    return { kind: 'refused', why: `${why}, and nothing is overwritten; move it away first` };
  for (const blobs of BLOB_DIRECTORIES) await copyTree(backup, directory, blobs);
  // The database comes after the blobs that it names, and the version last.
  for (const name of [HOSTED_DATABASE_FILE, HOSTED_VERSION_FILE])
    await copyDurably(path.join(backup, name), path.join(directory, name));
  await syncDirectory(directory);
  using database = await SqliteHostedDatabase.open(directory, log);
  if (database.failure !== undefined) return { kind: 'refused', why: database.failure.message };
  return { kind: 'restored', verified: await verifyHosted(database, new HostedFiles(directory)) };
}

async function copyTree(from: string, to: string, relative: string): Promise<void> {
  await mkdir(path.join(to, relative), { recursive: true, mode: 0o750 });
  for (const entry of await entriesOf(path.join(from, relative))) {
    const below = path.join(relative, entry.name);
    if (entry.isDirectory()) await copyTree(from, to, below);
    else if (entry.isFile()) await copyDurably(path.join(from, below), path.join(to, below));
  }
  await syncDirectory(path.join(to, relative));
}

/** A backup without blobs has no directory for them. */
async function entriesOf(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

async function isFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return false;
    throw error;
  }
}
