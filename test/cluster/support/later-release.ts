import assert from 'node:assert/strict';
import { CLUSTER_SCHEMA } from '../../../src/cluster/schema.ts';
import type { Postgres } from '../../../src/platform/postgres.ts';

/** Does to the tables what a later release may do: it adds. */
export async function addAsLaterRelease(database: Postgres): Promise<void> {
  const tables = await database.rows<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
      WHERE table_schema = 'hubgate' AND table_type = 'BASE TABLE' AND table_name <> 'schema_version'`,
  );
  assert.ok(tables.length > 5);
  for (const { name } of tables)
    await database.change(`ALTER TABLE hubgate.${name} ADD COLUMN later text NOT NULL DEFAULT ''`);
  await database.change('INSERT INTO hubgate.schema_version (version) VALUES ($1)', [CLUSTER_SCHEMA + 1]);
}
