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
import { diskFailure, sqliteResultCode } from '../../platform/disk-failure.ts';
import type { Logger } from '../../platform/log.ts';
import { asError, isErrno } from '../../platform/reason.ts';
import { schemaVersion } from '../../platform/sqlite-query.ts';
import { UPGRADES } from './sqlite-statements.ts';

/** Primary result codes of SQLite. An extended code has its primary code in the lowest byte. */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/**
 * The number of pages of 4 KiB in the journal after which SQLite copies them into the file. It does so on the
 * event loop, within the commit that reaches the number. With SQLite's own 1,000 that blocks the event loop
 * for 20 ms, and with far fewer the additional syncs cost more than they save.
 */
const CHECKPOINT_AFTER = 250;

class ForeignVersion extends Error {
  override readonly name = 'ForeignVersion';
}

/** The open database of an index. */
export interface OpenIndexFile {
  readonly database: DatabaseSync;
  /**
   * The reason why this is a substitute for a file on a disk that cannot be written; undefined if it is the
   * file itself.
   */
  readonly failure?: Error;
}

const IN_MEMORY = ':memory:';

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // A process that may read blobs through the group must not learn their repositories. SQLite gives its
    // journal the same mode.
    if (file !== IN_MEMORY) chmodSync(file, 0o600);
    // The journal is not synced at each commit: a power cut can lose the last links, but never the file.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_AFTER}`);
    // A replaced row fires the delete triggers only if triggers are recursive.
    database.exec('PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; BEGIN IMMEDIATE');
    const version = schemaVersion(database);
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
 * Opens the index. If the disk cannot be written, a copy of the index is used, or an empty index if it cannot
 * be copied.
 * @throws if the file is in use by another core, or belongs to another user.
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

/**
 * Begins a new index in the place of an unusable one. If the disk cannot be written, the new index is in
 * memory.
 */
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
 * Makes the content of a substitute the index again.
 * @throws while the disk cannot be written, or if the file is in use by another core. Then nothing has
 * changed.
 */
export function writeSubstitute(substitute: DatabaseSync, file: string, log: Logger): DatabaseSync {
  const complete = `${file}.new`;
  rmSync(complete, { force: true });
  // SQLite accepts an empty file as a new database. Creating it here ensures that no other user can ever read
  // it.
  closeSync(openSync(complete, 'wx', 0o600));
  substitute.prepare('VACUUM INTO ?').run(complete);
  const descriptor = openSync(complete, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  // Opening the old file tells whether another core uses it. Its journal is removed, because it must not be
  // taken for a part of the new file.
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
      { file, err: error },
      'the index can be neither written nor copied; what is cached is confirmed upstream again',
    );
    return openDatabase(IN_MEMORY);
  }
}

/** Opens a copy that has no name, so that it disappears when it is closed, however this process ends. */
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
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

/** @throws if the file is in use by another core, or can be neither used nor replaced. */
function openOrBeginAnew(file: string, log: Logger): DatabaseSync {
  try {
    return openDatabase(file);
  } catch (error) {
    if (sqliteResultCode(error) === BUSY)
      throw new Error(`${file} is in use by another core`, { cause: error });
    if (!isUnusable(error)) throw error;
    setAside(file, asError(error), log);
    return openDatabase(file);
  }
}

/** True if the file itself is the cause. */
export function isUnusable(error: unknown): boolean {
  const code = sqliteResultCode(error);
  return error instanceof ForeignVersion || code === CORRUPT || code === NOT_A_DATABASE;
}

function setAside(file: string, error: Error, log: Logger): void {
  const aside = `${file}.broken`;
  log.warn({ file, aside, err: error }, 'the index cannot be used; beginning a new one');
  renameSync(file, aside);
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
}
