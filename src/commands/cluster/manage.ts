import { transferState } from '../../auth/admin/transfer-state.ts';
import { createPostgresState } from '../../auth/state/postgres-state.ts';
import { openAuthState } from '../../auth/state/sqlite-state.ts';
import { openClusterDatabase } from '../../cluster/database.ts';
import { drainNode, forgetNode } from '../../cluster/manage-nodes.ts';
import type { Environment } from '../../config/environment.ts';
import type { TransferredHosted } from '../../core/hosted/transfer.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { createLogger } from '../../platform/log.ts';
import { withClusterDatabase } from './with-database.ts';

interface HomeOptions {
  readonly home: string;
}

/** Lets the balancer send new clients to other nodes than this one. */
export function clusterDrain(
  { home }: HomeOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  return withClusterDatabase(home, environment, terminal, async ({ database, cluster: { node } }) => {
    if (await drainNode(database, node)) {
      printLine(
        terminal.stdout,
        `${node}: /readyz answers 503 within a second, until the next start of the node`,
      );
      return 0;
    }
    printLine(terminal.stderr, `hubgate: the node ${node} has never been started`);
    return 1;
  });
}

/** Removes a node that will not come back. */
export function clusterForget(
  node: string,
  { home }: HomeOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  return withClusterDatabase(home, environment, terminal, async ({ database }) => {
    const { stdout, stderr } = terminal;
    const outcome = await forgetNode(database, node);
    if (outcome === 'forgotten') printLine(stdout, `${node} is forgotten`);
    else if (outcome === 'alive') printLine(stderr, `hubgate: ${node} is alive; stop it first`);
    else printLine(stderr, `hubgate: no node is named ${node}; see hubgate cluster status`);
    return outcome === 'forgotten' ? 0 : 1;
  });
}

/** Copies what auth keeps and the hosted repositories of this home into the cluster, or back. */
export function clusterTransfer(
  direction: 'import' | 'export',
  { home }: HomeOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  return withClusterDatabase(home, environment, terminal, async ({ database, cluster, paths, config }) => {
    const log = createLogger('cluster', { level: 'warn', format: 'auto' });
    const options = { url: cluster.database, application: 'hubgate command', log };
    await using connected = await openClusterDatabase(options);
    await using shared = createPostgresState(connected);
    await using own = openAuthState(paths.authState);
    const [from, to] = direction === 'import' ? [own, shared] : [shared, own];
    const { tokens, logins, certificates, people } = await transferState(from, to);
    const place = direction === 'import' ? 'the cluster' : paths.authState;
    printLine(
      terminal.stdout,
      `${tokens} tokens, ${logins} logins, ${certificates} certificates and ${people} people are new in ${place}`,
    );
    const { importHosted, exportHosted } = await import('./transfer-hosted.ts');
    const transfer = direction === 'import' ? importHosted : exportHosted;
    const target = direction === 'import' ? 'the cluster' : (config.hosted?.directory ?? '');
    return printHosted(await transfer({ config, paths, database, terminal }), target, terminal);
  });
}

function printHosted(
  transferred: TransferredHosted | string | undefined,
  target: string,
  { stdout, stderr }: Terminal,
): ExitCode {
  if (transferred === undefined) return 0;
  if (typeof transferred === 'string') {
    printLine(stderr, `hubgate: not all hosted repositories are copied: ${transferred}`);
    return 1;
  }
  const { manifests, blobs, tags, left } = transferred;
  for (const { repository, reference, why } of left)
    printLine(stderr, `hubgate: ${repository} ${reference}: ${why}`);
  printLine(
    stdout,
    `hosted: ${manifests} manifests, ${blobs} blobs and ${tags} tags are new in ${target}, and ${left.length} are left`,
  );
  return left.length === 0 ? 0 : 1;
}
