import { chmodSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
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

export function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // Who reads blobs through the group is not told which repositories they are of; SQLite gives its journal the same mode.
    chmodSync(file, 0o600);
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

/** @throws where the file is in use by another core, or can be neither used nor replaced. */
export function openOrBeginAnew(file: string, log: Logger): DatabaseSync {
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

export function setAside(file: string, error: Error, log: Logger): void {
  const aside = `${file}.broken`;
  log.warn({ file, aside, error: error.message }, 'the index cannot be used; beginning a new one');
  renameSync(file, aside);
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
}
