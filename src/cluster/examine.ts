/** This module examines the database for the doctor. Nothing here makes or changes a table. */
import { randomUUID } from 'node:crypto';
import type { Postgres, PostgresQueries } from '../platform/postgres.ts';

/**
 * Returns the version of the tables; undefined if there are none yet.
 * @throws DatabaseUnavailable
 */
export async function readSchemaVersion(database: PostgresQueries): Promise<number | undefined> {
  const [made] = await database.rows<{ isMade: boolean }>(
    `SELECT to_regclass('hubgate.schema_version') IS NOT NULL AS "isMade"`,
  );
  if (made?.isMade !== true) return undefined;
  const [row] = await database.rows<{ version: number | null }>(
    'SELECT max(version) AS version FROM hubgate.schema_version',
  );
  return row?.version ?? undefined;
}

/**
 * Returns the milliseconds since the epoch by the clock of the database.
 * @throws DatabaseUnavailable
 */
export async function readDatabaseTime(database: PostgresQueries): Promise<number> {
  const [row] = await database.rows<{ now: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  );
  return row?.now ?? Number.NaN;
}

/**
 * Returns whether a notification that one connection sends reaches another one within `deadline`
 * milliseconds. Through a pooler that gives a connection to somebody else after each transaction it does not.
 * @throws DatabaseUnavailable
 */
export async function hearsNotifications(database: Postgres, deadline: number): Promise<boolean> {
  const token = randomUUID();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const listening = await database.connect();
  const late = setTimeout(() => resolve(false), deadline);
  try {
    listening.on('notification', ({ payload }) => payload === token && resolve(true));
    listening.on('end', () => resolve(false));
    await listening.query('LISTEN hubgate_doctor');
    await database.rows(`SELECT pg_notify('hubgate_doctor', $1)`, [token]);
    return await promise;
  } finally {
    clearTimeout(late);
    listening.end().catch(() => {});
  }
}

/**
 * Returns the certificate of each node as PEM, by the name of the node.
 * @throws DatabaseUnavailable
 */
export async function readNodeCertificates(database: PostgresQueries): Promise<ReadonlyMap<string, string>> {
  const rows = await database.rows<{ id: string; certificate: string }>(
    'SELECT id, certificate FROM hubgate.node',
  );
  return new Map(rows.map(({ id, certificate }) => [id, certificate]));
}
