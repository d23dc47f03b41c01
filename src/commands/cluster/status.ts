import { readClusterStatus } from '../../cluster/status.ts';
import type { Environment } from '../../config/environment.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { formatSize } from '../../platform/size.ts';
import { printTable } from '../table.ts';
import { withClusterDatabase } from './with-database.ts';

export interface ClusterStatusOptions {
  readonly home: string;
  readonly json?: boolean;
}

/**
 * Prints the nodes of the cluster and the documents that they share. The exit code is 1 if a node is not
 * alive.
 */
export function clusterStatus(
  { home, json = false }: ClusterStatusOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  return withClusterDatabase(home, environment, terminal, async ({ database }) => {
    const { stdout } = terminal;
    const status = await readClusterStatus(database);
    const isWhole = status.nodes.every(({ isAlive }) => isAlive);
    if (json) {
      printLine(stdout, JSON.stringify(status));
      return isWhole ? 0 : 1;
    }
    printTable(stdout, {
      heading: ['NODE', 'STATE', 'VERSION', 'ADDRESS', 'CONTENT', 'DOWNLOADS', 'UPLOADS', 'PURGES'],
      rows: status.nodes.map(
        ({ id, version, address, copies, downloads, pendingUploads, pendingPurges, ...node }) => {
          return [
            id,
            stateOf(node),
            version,
            address,
            String(copies),
            String(downloads),
            String(pendingUploads),
            String(pendingPurges),
          ];
        },
      ),
      empty: 'no node has joined the cluster yet',
    });
    const { count, bytes } = status.objects;
    if (count > 0) printLine(stdout, `object store: ${count} blobs, ${formatSize(bytes)}`);
    for (const { name, version, node, at } of status.documents)
      printLine(stdout, `${name}: version ${version}, edited on ${node} at ${timeOf(at)}`);
    return isWhole ? 0 : 1;
  });
}

function stateOf(node: {
  readonly isAlive: boolean;
  readonly isDraining: boolean;
  readonly beatAt: number | null;
}): string {
  if (node.isAlive) return node.isDraining ? 'draining' : 'alive';
  return node.beatAt === null ? 'stopped' : `silent since ${timeOf(node.beatAt)}`;
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}
