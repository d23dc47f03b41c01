import { chmodSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { prepareQuery, schemaVersion } from '../../platform/sqlite-query.ts';
import type { StoredReading } from './account-quota.ts';
import type { StoredCount } from './count-table.ts';

const SCHEMA_VERSION = 1;

const TABLES = `
  CREATE TABLE counter (
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    window_ms REAL NOT NULL,
    buckets TEXT NOT NULL,
    PRIMARY KEY (kind, owner, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE reading (
    owner TEXT PRIMARY KEY,
    said TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

const BUCKETS = z.array(z.tuple([z.int(), z.number().nonnegative()])).max(25);

export const COUNTER = z.object({
  kind: z.enum(['limit-pulls', 'limit-bytes', 'account', 'pace', 'subject']),
  owner: z.string(),
  key: z.string(),
  windowMs: z.number().positive(),
  buckets: z.preprocess((text) => JSON.parse(String(text)), BUCKETS),
});

export const READING = z.object({
  beyond: z.int(),
  quota: z.object({
    ...{ limit: z.int(), remaining: z.int(), window: z.int(), readAt: z.int() },
    source: z.string().exactOptional(),
  }),
});

/** The last report of an upstream about the quota of one of its accounts. */
export interface AccountReading {
  /** The name of the account, as `accountKey` forms it. */
  readonly owner: string;
  readonly reading: StoredReading;
}

/** The counts in one SQLite file, which one core uses at a time. */
export class BudgetFile implements Disposable {
  readonly #database: DatabaseSync;

  /** @throws if the file cannot be opened, or is not such a file. */
  constructor(file: string) {
    this.#database = new DatabaseSync(file);
    try {
      // A process that may read blobs through the group must not learn who pulls.
      chmodSync(file, 0o600);
      // A power cut can lose the last transactions, but never the file.
      this.#database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
      this.#database.exec('PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE');
      const version = schemaVersion(this.#database);
      if (version === 0) this.#database.exec(TABLES);
      else if (version !== SCHEMA_VERSION) throw new Error(`its version is ${version}`);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** @throws if a row cannot be read. */
  counts(): readonly StoredCount[] {
    const sql = 'SELECT kind, owner, key, window_ms AS windowMs, buckets FROM counter';
    return prepareQuery(this.#database, sql)
      .all()
      .map((row) => COUNTER.parse(row));
  }

  /** @throws if a row cannot be read. */
  readings(): readonly AccountReading[] {
    return prepareQuery<{ owner: string; said: string }>(this.#database, 'SELECT owner, said FROM reading')
      .all()
      .map(({ owner, said }) => ({ owner, reading: READING.parse(JSON.parse(said)) }));
  }

  /** Writes all of it, or nothing. */
  write(counts: readonly StoredCount[], readings: readonly AccountReading[]): void {
    const database = this.#database;
    database.exec('BEGIN IMMEDIATE');
    try {
      const put = database.prepare('INSERT OR REPLACE INTO counter VALUES (?, ?, ?, ?, ?)');
      const remove = database.prepare('DELETE FROM counter WHERE kind = ? AND owner = ? AND key = ?');
      for (const { kind, owner, key, windowMs, buckets } of counts) {
        if (buckets.length === 0) remove.run(kind, owner, key);
        else put.run(kind, owner, key, windowMs, JSON.stringify(buckets));
      }
      const say = database.prepare('INSERT OR REPLACE INTO reading VALUES (?, ?)');
      for (const { owner, reading } of readings) say.run(owner, JSON.stringify(reading));
      database.exec('COMMIT');
    } finally {
      if (database.isTransaction) database.exec('ROLLBACK');
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
