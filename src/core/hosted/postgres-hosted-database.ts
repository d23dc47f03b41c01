import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import { concernsServer, type Postgres, type PostgresQueries } from '../../platform/postgres.ts';
import { asError } from '../../platform/reason.ts';
import type { Digest } from '../../registry/digest.ts';
import { type HostedDatabase, HostedUnavailable } from './hosted-database.ts';
import {
  CHANGE_HOSTED,
  CHANGE_HOSTED_CONTENT,
  SELECT_HOSTED,
  SELECT_HOSTED_CONTENT,
} from './hosted-queries.ts';
import { HOSTED_STATEMENTS, type HostedSelects, type HostedStatements } from './hosted-statements.ts';
import type { HostedQuery, HostedStep } from './hosted-step.ts';
import { RefusedChange } from './refusal.ts';

/** The most changes that are committed together. Those of other nodes wait meanwhile. */
const GROUP = 16;

/** Any number, the same in every release: the changes of all nodes come one after the other. */
const CHANGE_LOCK = 7_143_921;

/**
 * Begins a change. Each statement after the lock sees what was committed before. The database ends the
 * transaction of a node that is frozen or cut off, so that the others wait for it for two seconds at most.
 */
const BEGIN_CHANGES = `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 2000;
  SELECT pg_advisory_xact_lock(${CHANGE_LOCK})`;
const BEGIN_READ = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

const TEXTS = Object.fromEntries(
  Object.entries({
    ...SELECT_HOSTED,
    ...CHANGE_HOSTED,
    ...SELECT_HOSTED_CONTENT,
    ...CHANGE_HOSTED_CONTENT,
  }).map(([name, text]) => [
    name,
    text.replaceAll(/\?(\d)/g, '$$$1').replaceAll(/\bmain\./g, 'hubgate.hosted_'),
  ]),
) as Readonly<Record<HostedQuery['name'], string>>;

interface PostgresChange {
  /** Runs the change, and returns a function that gives the result to the caller that waits for it. */
  readonly run: (queries: PostgresQueries) => Promise<() => void>;
  readonly reject: (error: Error) => void;
}

/**
 * The database of the hosted repositories in the PostgreSQL of a cluster. All changes of all nodes hold one
 * lock, so they are serial, as they are in a file. Reads do not wait for it.
 */
export class PostgresHostedDatabase implements HostedDatabase {
  /** A database that is away may be back for the next read or change. */
  readonly failure = undefined;
  readonly #database: Postgres;
  #pending: PostgresChange[] = [];
  #isCommitting = false;

  constructor(database: Postgres) {
    this.#database = database;
  }

  async read<T>(query: (select: HostedSelects) => HostedStep<T>): Promise<T> {
    try {
      return await this.#database.transaction(
        (queries) => take(queries, query(HOSTED_STATEMENTS.select)),
        BEGIN_READ,
      );
    } catch (error) {
      throw judge(error);
    }
  }

  /** The changes that come while others are being committed are committed together. */
  change<T>(change: (statements: HostedStatements) => HostedStep<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = async (queries: PostgresQueries) => {
        const value = await take(queries, change(HOSTED_STATEMENTS));
        return () => resolve(value);
      };
      this.#pending.push({ run, reject });
      if (!this.#isCommitting) void this.#commitPending();
    });
  }

  async copyTo(): Promise<readonly Digest[]> {
    throw new Error('the hosted repositories of a cluster are in PostgreSQL; copy them with pg_dump');
  }

  async #commitPending(): Promise<void> {
    this.#isCommitting = true;
    while (this.#pending.length > 0) await this.#commit(this.#pending.splice(0, GROUP));
    this.#isCommitting = false;
  }

  async #commit(group: readonly PostgresChange[]): Promise<void> {
    try {
      const settled = await this.#database.transaction(async (queries, script) => {
        const results: (() => void)[] = [];
        for (const one of group) results.push(await runAlone(one, queries, script));
        return results;
      }, BEGIN_CHANGES);
      for (const settle of settled) settle();
    } catch (error) {
      // A commit that was not answered may have happened. So none of these was refused, and none was done.
      for (const one of group) one.reject(judge(error));
    }
  }
}

/** Runs one change of a group. If it throws, the others still count. */
async function runAlone(
  one: PostgresChange,
  queries: PostgresQueries,
  script: (sql: string) => Promise<unknown>,
): Promise<() => void> {
  await script('SAVEPOINT one');
  try {
    const settle = await one.run(queries);
    await script('RELEASE SAVEPOINT one');
    return settle;
  } catch (error) {
    if (!(error instanceof RefusedChange) && concernsServer(error)) throw error;
    await script('ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one');
    return () => one.reject(asError(error));
  }
}

async function take<T>(queries: PostgresQueries, step: HostedStep<T>): Promise<T> {
  let taken = step.next();
  while (!taken.done) taken = step.next(await answer(queries, taken.value));
  return taken.value;
}

async function answer(queries: PostgresQueries, { name, wants, values }: HostedQuery): Promise<unknown> {
  if (wants === 'count') return queries.change(TEXTS[name], values);
  const rows = await queries.rows(TEXTS[name], values);
  return wants === 'row' ? rows[0] : rows;
}

function judge(error: unknown): Error {
  if (!(error instanceof DatabaseUnavailable)) return asError(error);
  return new HostedUnavailable('the database of the cluster failed', { cause: error });
}
