/**
 * The tables of a cluster. Migrations only add: nodes of two adjacent releases run side by side on the newer
 * schema. Each release knows the schemas that it can run on.
 */
import type { Postgres } from '../platform/postgres.ts';
import {
  ACCOUNT_TABLES,
  AUTH_TABLES,
  DIRECTORY_TABLES,
  LOGOUT_TABLES,
  PERSON_NAMES,
  PERSON_TABLES,
  SESSION_SIDS,
} from './auth-tables.ts';
import { COUNT_TABLES } from './count-tables.ts';
import { DOCUMENT_TABLES } from './document-tables.ts';
import { HOSTED_CLUSTER_TABLES } from './hosted-tables.ts';
import { INDEX_TABLES } from './index-tables.ts';
import { NODE_TABLES } from './node-tables.ts';
import { OBJECT_TABLES } from './object-tables.ts';
import { PURGE_TABLES } from './purge-tables.ts';

/** The migrations by the version that each leads to. A version that was released is never changed. */
const MIGRATIONS: readonly string[] = [
  [AUTH_TABLES, NODE_TABLES, INDEX_TABLES, DOCUMENT_TABLES, COUNT_TABLES].join(''),
  [PERSON_TABLES, ACCOUNT_TABLES].join(''),
  OBJECT_TABLES,
  [DIRECTORY_TABLES, HOSTED_CLUSTER_TABLES].join(''),
  [PURGE_TABLES, SESSION_SIDS].join(''),
  [LOGOUT_TABLES, PERSON_NAMES].join(''),
];

/** The version of the schema that this release makes. It also runs on the next one. */
export const CLUSTER_SCHEMA = MIGRATIONS.length;

/** The version of the schema that has the objects of an object store. */
export const OBJECTS_SCHEMA = versionWith(OBJECT_TABLES);

/** The version of the schema that says what each node is still to purge. */
export const PURGES_SCHEMA = versionWith(PURGE_TABLES);

/** Any number, the same in every release: only one node migrates at a time. */
const MIGRATION_LOCK = 7_143_920;

/**
 * Makes the tables, or adds what is missing.
 * @throws if a newer release has made a schema on which this one cannot run
 */
export async function migrateCluster(database: Postgres): Promise<void> {
  await database.transaction(async (queries, script) => {
    await queries.change('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await queries.change('CREATE SCHEMA IF NOT EXISTS hubgate');
    await queries.change(
      'CREATE TABLE IF NOT EXISTS hubgate.schema_version (version integer NOT NULL, at timestamptz NOT NULL DEFAULT now())',
    );
    const [row] = await queries.rows<{ version: number | null }>(
      'SELECT max(version) AS version FROM hubgate.schema_version',
    );
    const found = row?.version ?? 0;
    if (found > CLUSTER_SCHEMA + 1)
      throw new Error(
        `the database of the cluster has schema ${found}, and this Hubgate runs on ${CLUSTER_SCHEMA} and ${CLUSTER_SCHEMA + 1}; install the release that the other nodes have`,
      );
    for (const [index, migration] of MIGRATIONS.entries()) {
      if (index + 1 <= found) continue;
      await script(migration);
      await queries.change('INSERT INTO hubgate.schema_version (version) VALUES ($1)', [index + 1]);
    }
  });
}

/** A migration can have other tables besides. */
function versionWith(tables: string): number {
  return MIGRATIONS.findIndex((migration) => migration.includes(tables)) + 1;
}
