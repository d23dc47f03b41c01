import { readClusterStatus } from '../../cluster/status.ts';
import type { Environment } from '../../config/environment.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { formatSize } from '../../platform/size.ts';
import { withClusterDatabase } from './with-database.ts';

export interface ClusterBackupOptions {
  readonly home: string;
  readonly json?: boolean;
}

/**
 * Looks whether the database of the cluster can be backed up, and prints the commands that do it and that
 * restore it. PostgreSQL's own tool makes a copy of one moment. The password is left to the environment,
 * because the arguments of a command are no secret.
 */
export function clusterBackup(
  { home, json = false }: ClusterBackupOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  return withClusterDatabase(home, environment, terminal, async ({ database, cluster }) => {
    const { stdout, stderr } = terminal;
    const { schema, now, nodes } = await readClusterStatus(database);
    if (schema === 0) {
      printLine(
        stderr,
        'hubgate: no node has made the tables of the cluster yet; there is nothing to back up',
      );
      return 1;
    }
    const [facts] = await database.rows<{ server: string; bytes: number }>(
      `SELECT current_setting('server_version') AS server, sum(pg_total_relation_size(c.oid))::bigint AS bytes
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'hubgate' AND c.relkind = 'r'`,
    );
    const { server = '', bytes = 0 } = facts ?? {};
    const { url, hasPassword } = withoutPassword(cluster.database);
    const file = `hubgate-cluster-${new Date(now).toISOString().slice(0, 10)}.dump`;
    const backup = `pg_dump --schema=hubgate --format=custom --file=${file} ${quoted(url)}`;
    const restore = `pg_restore --clean --if-exists --no-owner --single-transaction --dbname=${quoted(url)} ${file}`;
    if (json) {
      printJson(stdout, { backup, restore, schema, server, bytes, nodes: nodes.length });
      return 0;
    }
    printLine(stdout, `The database answers: PostgreSQL ${server}, schema ${schema}, ${formatSize(bytes)}.`);
    printLine(
      stdout,
      `Back it up with a pg_dump of version ${server.split('.')[0]} or newer, while the nodes run:`,
    );
    if (hasPassword)
      printLine(stdout, '  (set PGPASSWORD, or write ~/.pgpass: the password is not in the command)');
    printLine(stdout, `  ${backup}`);
    if (cluster.objects !== undefined) {
      const { bucket, prefix } = cluster.objects;
      const hosted = `${bucket}/${prefix === '' ? '' : `${prefix}/`}hosted/`;
      printLine(
        stdout,
        `If repositories are hosted, copy the objects below ${hosted} after it, within an hour.`,
      );
    }
    printLine(stdout, 'Restore it while all nodes are stopped:');
    printLine(stdout, `  ${restore}`);
    printLine(
      stdout,
      'Back up the home of a node too, for its settings and certificates: hubgate backup DIR',
    );
    return 0;
  });
}

function withoutPassword(text: string): { readonly url: string; readonly hasPassword: boolean } {
  const url = new URL(text);
  const hasPassword = url.password !== '' || url.searchParams.has('password');
  url.password = '';
  url.searchParams.delete('password');
  return { url: url.href, hasPassword };
}

/** Quotes a word for a shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
