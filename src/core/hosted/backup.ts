import { constants, copyFile, link, mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory, writeFileAtomically } from '../../platform/atomic-file.ts';
import type { Logger } from '../../platform/log.ts';
import { isErrno } from '../../platform/reason.ts';
import type { Digest } from '../../registry/digest.ts';
import { blobDirectory, blobFile } from '../store/layout.ts';
import type { Collection } from './collect.ts';
import type { HostedDatabase } from './hosted-database.ts';
import { HostedFiles } from './hosted-files.ts';
import { HOSTED_DATABASE_FILE, HOSTED_VERSION, HOSTED_VERSION_FILE } from './layout.ts';
import { SqliteHostedDatabase } from './sqlite-hosted-database.ts';

export interface BackedUp {
  readonly kind: 'done';
  readonly blobs: number;
  /** The number of blobs that share their bytes with the original, because they are on one disk. */
  readonly linked: number;
}

/** What happens if the file of a blob is missing: the backup fails, or leaves the blob out. */
export type MissingBlobs = 'fail' | 'leave';

export type BackupOutcome = BackedUp | { readonly kind: 'refused'; readonly why: string };

/**
 * Copies all that is hosted into a new or empty directory, while pulls and pushes go on. Blobs are only added
 * meanwhile, because the collection waits, so all that the copied database names is there. On the same disk a
 * blob is linked and not copied.
 * @throws if a file cannot be written
 */
export async function backUpHosted(
  { collection, database, files }: BackupSource,
  directory: string,
  missing: MissingBlobs = 'fail',
): Promise<BackupOutcome> {
  if (files === undefined) return { kind: 'refused', why: IN_CLUSTER };
  return collection.withoutRemovals(() => copyContent({ database, files, missing }, directory));
}

const IN_CLUSTER =
  'the hosted repositories belong to the cluster. Dump its database with pg_dump first, and copy the bucket of cluster.objects after that: "hubgate cluster backup" prints the command; see docs/cluster.md';

/**
 * Does the same for the content in `source` while no core runs.
 * @throws if a core uses the content, or if a file cannot be read or written
 */
export async function backUpStoppedHosted(
  source: string,
  directory: string,
  log: Logger,
  missing: MissingBlobs = 'fail',
): Promise<BackupOutcome> {
  using database = await SqliteHostedDatabase.open(source, log);
  return await copyContent({ database, files: new HostedFiles(source), missing }, directory);
}

interface BackedUpContent {
  readonly database: HostedDatabase;
  readonly files: HostedFiles;
  readonly missing: MissingBlobs;
}

interface BackupSource {
  readonly database: HostedDatabase;
  /** It is undefined in a cluster. */
  readonly files: HostedFiles | undefined;
  readonly collection: Collection;
}

async function copyContent(
  { database, files, missing }: BackedUpContent,
  directory: string,
): Promise<BackupOutcome> {
  const why = await prepareEmpty(directory);
  if (why !== undefined) return { kind: 'refused', why: `${why}; name a new directory` };
  const copy = path.join(directory, HOSTED_DATABASE_FILE);
  const blobs = await database.copyTo(copy);
  await syncFile(copy);
  const copied = { linked: 0, copied: 0, missing: 0 };
  for (const digest of blobs) copied[await addBlob(files.pathOf(digest), directory, digest, missing)]++;
  // The version comes last: a backup without it is not complete.
  await writeFileAtomically(path.join(directory, HOSTED_VERSION_FILE), `${HOSTED_VERSION}\n`, 0o640);
  await syncDirectory(directory);
  return { kind: 'done', blobs: copied.linked + copied.copied, linked: copied.linked };
}

/** Creates the directory. Returns why it cannot take a backup; undefined if it can. */
export async function prepareEmpty(directory: string): Promise<string | undefined> {
  await mkdir(directory, { recursive: true, mode: 0o750 });
  return (await readdir(directory)).length === 0 ? undefined : `${directory} is not empty`;
}

async function addBlob(
  source: string,
  directory: string,
  digest: Digest,
  missing: MissingBlobs,
): Promise<'linked' | 'copied' | 'missing'> {
  const parent = path.join(directory, blobDirectory(digest));
  await mkdir(parent, { recursive: true, mode: 0o750 });
  const target = path.join(directory, blobFile(digest));
  try {
    const isLinked = await linkIfPossible(source, target);
    if (!isLinked) await copyDurably(source, target);
    await syncDirectory(parent);
    return isLinked ? 'linked' : 'copied';
  } catch (error) {
    if (missing === 'leave' && isErrno(error, 'ENOENT')) return 'missing';
    throw error;
  }
}

async function linkIfPossible(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    if (['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP'].some((code) => isErrno(error, code))) return false;
    throw error;
  }
}

/** Copies a file so that the copy survives a power cut. */
export async function copyDurably(source: string, target: string): Promise<void> {
  await copyFile(source, target, constants.COPYFILE_EXCL);
  await syncFile(target);
}

async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
