/**
 * The one home of the PostgreSQL client. Every query has a deadline: a database that accepts connections and
 * never answers must not hold a request, and a connection whose query was late is closed, because its answer
 * may still come.
 */
import pg from 'pg';
import { DatabaseUnavailable } from './database-unavailable.ts';
import { asError } from './reason.ts';

export interface PostgresOptions {
  /** A `postgres://` URL. */
  readonly url: string;
  /** The name that the database shows for the connections. */
  readonly application: string;
  /** The most connections at a time. */
  readonly connections: number;
  /** Milliseconds until a query must be answered, and until a connection must be open. */
  readonly deadline: number;
}

/** A value of a query. A list is an array of texts. */
export type PostgresValue = string | number | boolean | null | Uint8Array | readonly string[];

export interface PostgresQueries {
  /**
   * Resolves to the rows of a statement. Equal texts are prepared once for each connection.
   * @throws DatabaseUnavailable
   */
  rows<Row extends object>(sql: string, values?: readonly PostgresValue[]): Promise<readonly Row[]>;
  /**
   * Resolves to the number of rows that a statement has changed.
   * @throws DatabaseUnavailable
   */
  change(sql: string, values?: readonly PostgresValue[]): Promise<number>;
}

/**
 * The classes of SQLSTATE that concern the connection, the server or other transactions, and not the
 * statement. A server that takes over and is read-only yet answers with one of 25.
 */
const OF_SERVER = ['08', '25', '40', '53', '55', '57', '58', 'XX'];

// A bigint is a number of milliseconds, of bytes or of rows here, which a double holds exactly.
const INT8 = 20;

/** A pool of connections. Nothing is connected before the first query. */
export class Postgres implements PostgresQueries, AsyncDisposable {
  readonly #pool: pg.Pool;
  readonly #options: PostgresOptions;
  readonly #names = new Map<string, string>();

  constructor(options: PostgresOptions) {
    this.#options = options;
    this.#pool = new pg.Pool({
      ...clientOptions(options),
      max: options.connections,
      idleTimeoutMillis: 30_000,
      allowExitOnIdle: true,
    });
    // An idle connection that breaks is replaced at the next query, which reports what is wrong.
    this.#pool.on('error', () => {});
    // The query that was under way reports it.
    this.#pool.on('connect', (client) => void client.on('error', () => {}));
  }

  async rows<Row extends object>(
    sql: string,
    values: readonly PostgresValue[] = [],
  ): Promise<readonly Row[]> {
    return this.#with(async (client) => (await this.#query<Row>(client, sql, values)).rows);
  }

  async change(sql: string, values: readonly PostgresValue[] = []): Promise<number> {
    return this.#with(async (client) => (await this.#query(client, sql, values)).rowCount ?? 0);
  }

  /**
   * Runs `task` in one transaction, which is rolled back if it throws. `script` runs several statements, and
   * `begin` is the script that begins the transaction.
   * @throws DatabaseUnavailable
   */
  transaction<T>(
    task: (queries: PostgresQueries, script: (sql: string) => Promise<unknown>) => Promise<T>,
    begin = 'BEGIN',
  ): Promise<T> {
    return this.#with(async (client) => {
      const queries: PostgresQueries = {
        rows: async <Row extends object>(sql: string, values: readonly PostgresValue[] = []) =>
          (await this.#query<Row>(client, sql, values)).rows,
        change: async (sql, values = []) => (await this.#query(client, sql, values)).rowCount ?? 0,
      };
      try {
        await client.query(begin);
        const result = await task(queries, (sql) => client.query(sql));
        await client.query('COMMIT');
        return result;
      } catch (error) {
        // The error tells more than the failure of the rollback would.
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    });
  }

  /**
   * Opens a connection of its own, for notifications.
   * @throws DatabaseUnavailable
   */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client(clientOptions(this.#options));
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      client.end().catch(() => {});
      throw new DatabaseUnavailable(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }

  async #with<T>(task: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch((error: Error) => {
      throw new DatabaseUnavailable(error);
    });
    try {
      const result = await task(client);
      client.release();
      return result;
    } catch (error) {
      const isOfServer = concernsServer(error);
      client.release(isOfServer ? asError(error) : undefined);
      throw isOfServer ? new DatabaseUnavailable(error) : error;
    }
  }

  #query<Row extends object>(client: pg.ClientBase, sql: string, values: readonly PostgresValue[]) {
    return client.query<Row>({ name: this.#nameOf(sql), text: sql, values: values.map(bound) });
  }

  /** Statements are told apart by their texts, of which there are few. */
  #nameOf(sql: string): string {
    const known = this.#names.get(sql);
    if (known !== undefined) return known;
    const name = `s${this.#names.size}`;
    this.#names.set(sql, name);
    return name;
  }
}

function clientOptions({ url, application, deadline }: PostgresOptions): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: application,
    connectionTimeoutMillis: deadline,
    query_timeout: deadline,
    keepAlive: true,
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text'),
    },
  };
}

/**
 * True if an error of a query is not about its statement. An error without an SQLSTATE is one of the
 * connection: a time-out, a reset, or a name that is unknown.
 */
export function concernsServer(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const isSqlState = /^[0-9A-Z]{5}$/.test(code) && 'severity' in error;
  if (isSqlState) return OF_SERVER.includes(code.slice(0, 2));
  return (
    code !== '' ||
    error.message === 'Query read timeout' ||
    /connection|terminat|not queryable/i.test(error.message)
  );
}

function bound(value: PostgresValue): unknown {
  return value instanceof Uint8Array ? Buffer.from(value) : value;
}
