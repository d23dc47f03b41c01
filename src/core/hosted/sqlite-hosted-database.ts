import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { backup, DatabaseSync, type StatementSync } from 'node:sqlite';
import { writeFileAtomically } from '../../platform/atomic-file.ts';
import { sqliteResultCode } from '../../platform/disk-failure.ts';
import type { Logger } from '../../platform/log.ts';
import { asError, isErrno } from '../../platform/reason.ts';
import { prepareQuery, schemaVersion } from '../../platform/sqlite-query.ts';
import type { Digest } from '../../registry/digest.ts';
import { type HostedDatabase, HostedUnavailable } from './hosted-database.ts';
import { CHANGE_HOSTED, SELECT_HOSTED } from './hosted-queries.ts';
import { HOSTED_STATEMENTS, type HostedSelects, type HostedStatements } from './hosted-statements.ts';
import type { HostedQuery, HostedStep } from './hosted-step.ts';
import { HOSTED_DATABASE_FILE, HOSTED_VERSION, HOSTED_VERSION_FILE } from './layout.ts';
import { ADDED_HOSTED_TABLES, HOSTED_SCHEMA_VERSION, HOSTED_TABLES } from './sqlite-hosted-tables.ts';

/** Primary result codes of SQLite. */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/** The most changes that are committed together, so that they do not block the event loop for long. */
const GROUP = 64;

interface SqliteChange {
  readonly run: () => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

type PreparedStatements = ReadonlyMap<HostedQuery['name'], StatementSync>;

/**
 * The database of the hosted repositories in a file. It is never begun anew. If the file cannot be used,
 * every operation is refused until the file is restored, and nothing else of the core is concerned.
 */
export class SqliteHostedDatabase implements HostedDatabase, Disposable {
  readonly #file: string;
  readonly #log: Logger;
  #database: DatabaseSync | undefined;
  #prepared: PreparedStatements | undefined;
  #failure: Error | undefined;
  #pending: SqliteChange[] = [];

  private constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  /**
   * Opens the database, and creates it in a new directory.
   * @throws if another core uses it
   */
  static async open(directory: string, log: Logger): Promise<SqliteHostedDatabase> {
    const database = new SqliteHostedDatabase(path.join(directory, HOSTED_DATABASE_FILE), log);
    try {
      database.#use(await openDatabase(directory));
    } catch (error) {
      if (sqliteResultCode(error) === BUSY)
        throw new Error(`${database.#file} is in use by another core`, { cause: error });
      database.#fail(asError(error));
    }
    return database;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  async read<T>(query: (select: HostedSelects) => HostedStep<T>): Promise<T> {
    const prepared = this.#usable();
    try {
      return take(prepared, query(HOSTED_STATEMENTS.select));
    } catch (error) {
      throw this.#judge(error);
    }
  }

  /** Changes that come at the same time are committed together. */
  change<T>(change: (statements: HostedStatements) => HostedStep<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let settle = () => {};
      if (this.#pending.length === 0) setImmediate(() => this.#commitPending());
      this.#pending.push({
        run: () => {
          const value = take(this.#usable(), change(HOSTED_STATEMENTS));
          settle = () => resolve(value);
        },
        resolve: () => settle(),
        reject,
      });
    });
  }

  async copyTo(file: string): Promise<readonly Digest[]> {
    this.#usable();
    if (this.#database !== undefined) await backup(this.#database, file);
    // The copy is one file, without a log beside it.
    const copy = new DatabaseSync(file);
    try {
      copy.exec('PRAGMA journal_mode = DELETE');
      const blobs = prepareQuery<{ digest: Digest }>(copy, 'SELECT DISTINCT digest FROM blob').all();
      return blobs.map(({ digest }) => digest);
    } finally {
      copy.close();
    }
  }

  [Symbol.dispose](): void {
    this.#commitPending();
    this.#database?.close();
    this.#database = undefined;
  }

  #use(database: DatabaseSync): void {
    this.#database = database;
    const texts = Object.entries({ ...SELECT_HOSTED, ...CHANGE_HOSTED }) as [HostedQuery['name'], string][];
    this.#prepared = new Map(texts.map(([name, text]) => [name, database.prepare(text)]));
  }

  #usable(): PreparedStatements {
    if (this.#failure !== undefined || this.#prepared === undefined)
      throw new HostedUnavailable('the database of the hosted repositories cannot be used', {
        cause: this.#failure,
      });
    return this.#prepared;
  }

  #commitPending(): void {
    const group = this.#pending.splice(0, GROUP);
    if (this.#pending.length > 0) setImmediate(() => this.#commitPending());
    if (group.length === 0) return;
    try {
      const committed = this.#commit(group);
      for (const one of committed) one.resolve();
    } catch (error) {
      if (this.#database?.isTransaction) this.#database.exec('ROLLBACK');
      const failure = this.#judge(error);
      for (const one of group) one.reject(failure);
    }
  }

  /** Returns those that have not thrown. */
  #commit(group: readonly SqliteChange[]): readonly SqliteChange[] {
    this.#usable();
    const database = this.#database;
    database?.exec('BEGIN IMMEDIATE');
    const done = group.filter((one) => {
      database?.exec('SAVEPOINT one');
      try {
        one.run();
        return true;
      } catch (error) {
        database?.exec('ROLLBACK TO one');
        one.reject(this.#judge(error));
        return false;
      } finally {
        database?.exec('RELEASE one');
      }
    });
    database?.exec('COMMIT');
    return done;
  }

  /** Returns the error to throw. From a damaged file on, nothing is read or written any more. */
  #judge(error: unknown): Error {
    const code = sqliteResultCode(error);
    if (code === undefined) return asError(error);
    if (code === CORRUPT || code === NOT_A_DATABASE) this.#fail(asError(error));
    else this.#log.error({ file: this.#file, err: error }, 'the hosted repositories cannot be written');
    return new HostedUnavailable('the database of the hosted repositories failed', { cause: error });
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#log.error(
      { file: this.#file, err: error },
      'the hosted repositories cannot be used; restore their directory from its backup and start again. Mirrored repositories are not concerned',
    );
  }
}

/** Runs a step to its end. Nothing else runs meanwhile, so a transaction contains nothing of another step. */
function take<T>(prepared: PreparedStatements, step: HostedStep<T>): T {
  let taken = step.next();
  while (!taken.done) taken = step.next(answer(prepared, taken.value));
  return taken.value;
}

function answer(prepared: PreparedStatements, { name, wants, values }: HostedQuery): unknown {
  const statement = prepared.get(name);
  if (statement === undefined) throw new Error(`only the database of a cluster knows the statement ${name}`);
  switch (wants) {
    case 'row':
      return statement.get(...values);
    case 'rows':
      return statement.all(...values);
    case 'count':
      return Number(statement.run(...values).changes);
  }
}

async function openDatabase(directory: string): Promise<DatabaseSync> {
  const versionFile = path.join(directory, HOSTED_VERSION_FILE);
  const file = path.join(directory, HOSTED_DATABASE_FILE);
  const version = readIfPresent(versionFile)?.trim();
  if (version !== undefined && version !== HOSTED_VERSION)
    throw new Error(
      `${versionFile} says version ${version}, and this Hubgate knows version ${HOSTED_VERSION} only`,
    );
  // A directory that was used before had a database. An empty one in its place would hide the loss, and the
  // blobs would be removed as those that no repository names.
  const isUsed = version !== undefined || hasBlobs(directory);
  if (isUsed && !existsSync(file)) throw new Error(`${file} is missing`);
  const database = new DatabaseSync(file);
  try {
    chmodSync(file, 0o600);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    database.exec('PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; BEGIN IMMEDIATE');
    const found = schemaVersion(database);
    if (found === 0 && isUsed) throw new Error(`${file} is empty`);
    if (found !== 0 && found !== HOSTED_SCHEMA_VERSION)
      throw new Error(`${file} has version ${found}, and this Hubgate knows ${HOSTED_SCHEMA_VERSION} only`);
    if (found === 0) database.exec(`${HOSTED_TABLES} PRAGMA user_version = ${HOSTED_SCHEMA_VERSION};`);
    database.exec(ADDED_HOSTED_TABLES);
    database.exec('COMMIT');
  } catch (error) {
    database.close();
    throw error;
  }
  if (version === undefined) await writeFileAtomically(versionFile, `${HOSTED_VERSION}\n`, 0o640);
  return database;
}

/** True if a file is there that a database has named. A restore that broke off leaves blobs alone. */
function hasBlobs(directory: string): boolean {
  const blobs = path.join(directory, 'blobs');
  return (
    existsSync(blobs) &&
    readdirSync(blobs, { recursive: true, withFileTypes: true }).some((entry) => entry.isFile())
  );
}

function readIfPresent(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
