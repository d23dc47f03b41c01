import {
  chmodSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { diskFailure } from '../../platform/disk-failure.ts';
import type { Logger } from '../../platform/log.ts';
import { UPGRADES } from './sqlite-statements.ts';

/** Primary result codes of SQLite; an extended code holds its primary one in its lowest byte. */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/**
 * Pages in the journal, of 4 KiB, after which they are carried over into the file. That happens on the event loop, within the
 * commit that is one too many: SQLite's own 1,000 hold it up for 20 ms, and much fewer cost more syncs than they save.
 */
const CHECKPOINT_AFTER = 250;

class ForeignVersion extends Error {
  override readonly name = 'ForeignVersion';
}

/** The open database of an index. */
export interface OpenIndexFile {
  readonly database: DatabaseSync;
  /**
   * Why this is a substitute for a file on a disk that cannot be written; undefined if it is the file itself.
   */
  readonly failure?: Error;
}

const IN_MEMORY = ':memory:';

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // Who reads blobs through the group is not told which repositories they are of; SQLite gives its journal the same mode.
    if (file !== IN_MEMORY) chmodSync(file, 0o600);
    // WAL without a sync at each commit: what a power cut can take is the last links, never the file.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_AFTER}`);
    // A row that is replaced is one that is removed only where triggers are recursive.
    database.exec('PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; BEGIN IMMEDIATE');
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as {
      user_version: number;
    };
    const upgrade = UPGRADES.get(version);
    if (upgrade === undefined) throw new ForeignVersion(`its version is ${version}`);
    database.exec(`${upgrade}; COMMIT`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Opens the index. If the disk cannot be written, what is there is used from a copy, or nothing if it cannot be copied.
 *
 * @throws where the file is in use by another core, or belongs to somebody else.
 */
export function openIndexFile(file: string, log: Logger): OpenIndexFile {
  try {
    return { database: openOrBeginAnew(file, log) };
  } catch (error) {
    const failure = whyUnwritable(file, error);
    if (failure === undefined) throw error;
    return { database: openSubstitute(file, log), failure };
  }
}

/** Begins a new index in the place of one that cannot be used. On a disk that cannot be written, outside of it. */
export function replaceUnusable(file: string, error: Error, log: Logger): OpenIndexFile {
  try {
    setAside(file, error, log);
    return { database: openDatabase(file) };
  } catch (error) {
    const failure = whyUnwritable(file, error);
    if (failure === undefined) throw error;
    return { database: openDatabase(IN_MEMORY), failure };
  }
}

/**
 * Makes what a substitute holds the index again.
 *
 * @throws while the disk cannot be written, or if the file is in use by another core. Then nothing has changed.
 */
export function writeSubstitute(substitute: DatabaseSync, file: string, log: Logger): DatabaseSync {
  const complete = `${file}.new`;
  rmSync(complete, { force: true });
  // SQLite takes a file that is empty; this one is nobody else's to read from the beginning.
  closeSync(openSync(complete, 'wx', 0o600));
  substitute.prepare('VACUUM INTO ?').run(complete);
  const descriptor = openSync(complete, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  // Whether another core uses it, SQLite says; and what is in its journal must not be taken for a part of the new file.
  openOrBeginAnew(file, log).close();
  rmSync(`${file}-wal`, { force: true });
  renameSync(complete, file);
  const database = openDatabase(file);
  substitute.close();
  return database;
}

export function whyUnwritable(file: string, cause: unknown): Error | undefined {
  const reason = diskFailure(file, cause);
  return reason === undefined ? undefined : new Error(`${file} cannot be written: ${reason}`, { cause });
}

function openSubstitute(file: string, log: Logger): DatabaseSync {
  try {
    return openCopy(file);
  } catch (error) {
    log.error(
      { file, error: (error as Error).message },
      'the index can be neither written nor copied; what is cached is confirmed upstream again',
    );
    return openDatabase(IN_MEMORY);
  }
}

/** The copy has no name: it is gone when it is closed, however this process ends. */
function openCopy(file: string): DatabaseSync {
  const directory = mkdtempSync(path.join(tmpdir(), 'hubgate-index-'));
  try {
    const copy = path.join(directory, path.basename(file));
    for (const suffix of ['', '-wal']) copyIfPresent(file + suffix, copy + suffix);
    return openDatabase(copy);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function copyIfPresent(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** @throws where the file is in use by another core, or can be neither used nor replaced. */
function openOrBeginAnew(file: string, log: Logger): DatabaseSync {
  try {
    return openDatabase(file);
  } catch (error) {
    if (codeOf(error) === BUSY) throw new Error(`${file} is in use by another core`, { cause: error });
    if (!isUnusable(error)) throw error;
    setAside(file, error as Error, log);
    return openDatabase(file);
  }
}

function codeOf(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined ? undefined : errcode & 0xff;
}

/** Is the file itself to blame? */
export function isUnusable(error: unknown): boolean {
  const code = codeOf(error);
  return error instanceof ForeignVersion || code === CORRUPT || code === NOT_A_DATABASE;
}

function setAside(file: string, error: Error, log: Logger): void {
  const aside = `${file}.broken`;
  log.warn({ file, aside, error: error.message }, 'the index cannot be used; beginning a new one');
  renameSync(file, aside);
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
}
