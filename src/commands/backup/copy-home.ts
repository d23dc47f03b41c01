import { mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import type { HomePaths } from '../../config/home.ts';
import { syncDirectory } from '../../platform/atomic-file.ts';
import { isErrno } from '../../platform/reason.ts';
import { readRegularFile } from '../../platform/regular-file.ts';
import { copySqliteFile } from '../../platform/sqlite-copy.ts';
import { type Digest, sha256Of } from '../../registry/digest.ts';
import { type BackedUpDirectory, type BackedUpFile, HOME_PART, type LeftOut } from './backup-manifest.ts';
import { listTree, type Tree, type TreeEntry } from './list-tree.ts';
import { sortNamedFiles } from './named-files.ts';

/** The directories of a home that are copied whole. */
const PARTS = ['config', 'certs', 'state'];
/** Files that are being written, locks, and the links by which Kubernetes mounts a volume. */
const TEMPORARY = /(?:\.tmp|\.lock|\.stale)$|^\.\./;
/** The files that SQLite keeps beside a database. The copy of the database contains their content. */
const OF_A_DATABASE = /\.db-(?:wal|shm|journal)$/;
/** The most attempts to read a configuration that somebody edits. */
const MOST_TRIES = 20;
const MOST_BYTES = 2 ** 28;
/** The milliseconds to wait for a busy database. */
const BUSY_DATABASE = 10_000;

interface CopiedHome {
  readonly directories: readonly BackedUpDirectory[];
  readonly files: readonly BackedUpFile[];
  readonly leftOut: readonly LeftOut[];
}

/**
 * Copies what must not be lost into `<target>/home`, while the mirror runs. The databases come first: a token
 * of the copy then has its owner in the copied users file. Files that are replaced as a whole are copied as a
 * whole, and the files of the policy are those of one moment.
 * @throws if a file cannot be read or written
 */
export async function copyHome(config: Config, { home }: HomePaths, target: string): Promise<CopiedHome> {
  const { besides, leftOut } = sortNamedFiles(config, home, PARTS);
  const isSkipped = skippedIn(config, home);
  const list = async () => withParents(home, await listTree(home, [...PARTS, ...besides], isSkipped));
  const copied: BackedUpFile[] = [];
  const first = await list();
  for (const { at } of first.directories)
    await mkdir(path.join(target, HOME_PART, at), { recursive: true, mode: 0o700 });
  for (const entry of first.files.filter(isDatabase)) {
    const copy = path.join(target, HOME_PART, entry.at);
    await copySqliteFile(path.join(home, entry.at), copy, BUSY_DATABASE);
    copied.push(described(entry, await readRegularFile(copy, MOST_BYTES)));
  }
  const { tree, read } = await readAtOneMoment(home, list);
  for (const { at } of tree.directories)
    await mkdir(path.join(target, HOME_PART, at), { recursive: true, mode: 0o700 });
  for (const { entry, bytes } of read) {
    await writeNew(path.join(target, HOME_PART, entry.at), bytes);
    copied.push(described(entry, bytes));
  }
  for (const { at } of tree.directories) await syncDirectory(path.join(target, HOME_PART, at));
  const others = tree.others.map((at) => ({ what: path.join(home, at), why: 'it is not a regular file' }));
  return {
    directories: tree.directories.map(({ at, stats }) => ({
      path: `${HOME_PART}/${at}`,
      ...permissions(stats),
    })),
    files: copied,
    leftOut: [...leftOut, ...others],
  };
}

/** Adds the directories of files that were listed by themselves. */
async function withParents(home: string, tree: Tree): Promise<Tree> {
  const directories = new Map(tree.directories.map((entry) => [entry.at, entry]));
  for (const { at: file } of tree.files)
    for (let at = path.dirname(file); at !== '.' && !directories.has(at); at = path.dirname(at))
      directories.set(at, { at, stats: await stat(path.join(home, at)) });
  return { ...tree, directories: [...directories.values()] };
}

/** The audit log and its rotated files may be larger than everything else together. */
function skippedIn({ log, cache, hosted }: Config, home: string): (at: string) => boolean {
  const audit = path.relative(home, log.audit);
  const elsewhere = [cache.directory, ...(hosted ? [hosted.directory] : [])];
  return (at) =>
    TEMPORARY.test(path.basename(at)) ||
    OF_A_DATABASE.test(at) ||
    at.startsWith(audit) ||
    elsewhere.includes(path.join(home, at));
}

function isDatabase({ at }: TreeEntry): boolean {
  return at.startsWith('state/') && at.endsWith('.db');
}

interface ReadFile {
  readonly entry: TreeEntry;
  readonly bytes: Buffer;
}

/** Reads all files that are not databases, again if somebody has changed the configuration meanwhile. */
export async function readAtOneMoment(
  home: string,
  list: () => Promise<Tree>,
): Promise<{ readonly tree: Tree; readonly read: readonly ReadFile[] }> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const tree = await list();
    const files = tree.files.filter((entry) => !isDatabase(entry));
    const read = await readAll(home, files);
    if (read !== undefined && momentOf(tree) === momentOf(await list())) return { tree, read };
  }
  throw new Error(`${path.join(home, 'config')} is being changed all the time; try again`);
}

/** Returns undefined if a file has gone meanwhile. */
async function readAll(home: string, files: readonly TreeEntry[]): Promise<ReadFile[] | undefined> {
  const read: ReadFile[] = [];
  for (const entry of files)
    try {
      read.push({ entry, bytes: await readRegularFile(path.join(home, entry.at), MOST_BYTES) });
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  return read;
}

/**
 * Differs if one of the files that belong together has changed. Each of the others (users.yaml, and what is
 * in `state/`) is a whole by itself, and a busy mirror may replace it often.
 */
function momentOf({ files }: Tree): string {
  return files
    .filter(({ at }) => !at.startsWith('state/') && at !== 'config/users.yaml')
    .map(({ at, stats: { ino, size, mtimeMs, ctimeMs } }) => [at, ino, size, mtimeMs, ctimeMs].join(' '))
    .join('\n');
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  await using handle = await open(file, 'wx', 0o600);
  await handle.chmod(0o600);
  await handle.writeFile(bytes);
  await handle.sync();
}

function described({ at, stats }: TreeEntry, bytes: Uint8Array): BackedUpFile {
  const digest: Digest = sha256Of(bytes);
  return { path: `${HOME_PART}/${at}`, size: bytes.length, digest, ...permissions(stats) };
}

function permissions({ mode, uid, gid }: TreeEntry['stats']) {
  return { mode: mode & 0o777, uid, gid };
}
