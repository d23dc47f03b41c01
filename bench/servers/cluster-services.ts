/**
 * A real PostgreSQL and a real S3 server for the nodes of a measured cluster, with a count of what the nodes
 * ask.
 */

import { BUCKET, type ObjectServer, startVersity } from '../../test/cluster/support/object-servers.ts';
import { type PostgresServer, startPostgres } from '../../test/cluster/support/postgres-server.ts';
import { freePort } from '../../test/support/free-port.ts';
import { ask } from '../../test/support/http.ts';
import type { HubgateServer } from './hubgate.ts';

export interface ClusterServices extends AsyncDisposable {
  readonly postgres: PostgresServer;
  /** The URL of the database. */
  readonly database: string;
  /** Returns the section of hubgate.yaml for a node. */
  section(node: string): Promise<string>;
  /** Returns how often each statement was run in the database since the last time. */
  takeStatements(): ReadonlyMap<string, number>;
  /** Returns how many objects the store has. */
  objects(): number;
}

export async function startClusterServices(): Promise<ClusterServices> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  // The statements are counted by a module that the server loads when it starts.
  postgres.run(`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`);
  await postgres.stop();
  await postgres.start();
  const database = await postgres.database();
  postgres.run('CREATE EXTENSION pg_stat_statements', database);
  const s3 = stack.use(await startVersity());
  const services = stack.move();
  return {
    postgres,
    database,
    section: async (node) => sectionOf(node, database, s3, await freePort()),
    takeStatements: () => takeStatements(postgres, database),
    objects: () => Number(postgres.run('SELECT count(*) FROM hubgate.object', database)),
    [Symbol.asyncDispose]: () => services.disposeAsync(),
  };
}

function sectionOf(node: string, database: string, s3: ObjectServer, port: number): string {
  const { endpoint, accessKeyFile, secretKeyFile } = s3;
  const objects = `{ endpoint: ${endpoint}, bucket: ${BUCKET}, accessKeyFile: ${accessKeyFile}, secretKeyFile: ${secretKeyFile} }`;
  return `cluster: { database: "${database}", node: ${node}, listen: "127.0.0.1:${port}", objects: ${objects} }\n`;
}

function takeStatements(postgres: PostgresServer, database: string): ReadonlyMap<string, number> {
  const rows = postgres.run(
    `SELECT calls, regexp_replace(query, '\\s+', ' ', 'g') FROM pg_stat_statements
      WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_%'`,
    database,
  );
  postgres.run('SELECT pg_stat_statements_reset()', database);
  const counted = rows.split('\n').filter((row) => row !== '');
  return new Map(
    counted.map((row) => [row.slice(row.indexOf('|') + 1), Number(row.slice(0, row.indexOf('|')))]),
  );
}

/**
 * Returns the requests that a node has sent to the object store for content. Probes of the store do not
 * count.
 */
export async function objectRequests({ adminPort }: HubgateServer): Promise<number> {
  const { body } = await ask({ host: '127.0.0.1', port: adminPort, path: '/metrics', agent: false });
  let total = 0;
  for (const [, operation = '', count] of body
    .toString()
    .matchAll(/^hubgate_cluster_object_requests_total\{[^}]*operation="([^"]*)"[^}]*\} (\S+)$/gm))
    if (operation !== 'probe') total += Number(count);
  return total;
}
