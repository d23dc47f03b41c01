/**
 * What befalls nodes, the database and the object store in a test: each disruption resolves to a function
 * that ends it.
 */
import type { Random } from '../../crash/support/random.ts';
import { signalIfRunning } from '../../support/running-mirror.ts';
import type { ObjectServer } from './object-servers.ts';
import type { TestNodes } from './test-nodes.ts';

type End = () => Promise<void>;
type Disrupt = (cluster: TestNodes, random: Random) => Promise<End>;

const NOTHING: End = async () => {};

export const DISRUPTIONS: Readonly<Record<string, Disrupt>> = {
  'a core is killed': kill('core'),
  'an auth is killed': kill('auth'),
  'a gateway is killed': kill('gateway'),
  'a core is frozen': async (cluster, random) => {
    const [pid] = await pidsOf(cluster, random.below(3), 'core');
    signal(pid, 'SIGSTOP');
    return async () => signal(pid, 'SIGCONT');
  },
  'the database is frozen': async ({ server }) => {
    server.signal('SIGSTOP');
    return async () => server.signal('SIGCONT');
  },
  'the database starts again': async ({ server }) => {
    await server.stop();
    await server.start();
    return NOTHING;
  },
  'all connections to the database are cut': async ({ server }) => {
    server.run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hubgate%'",
    );
    return NOTHING;
  },
  'one connection to the database is cut': async ({ server }, random) => {
    server.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hubgate%'
        ORDER BY pid OFFSET ${random.below(20)} LIMIT 1`,
    );
    return NOTHING;
  },
};

/** What befalls the object store of a cluster besides. */
export function disruptionsOf(objects: ObjectServer): Readonly<Record<string, Disrupt>> {
  return {
    'the object store is frozen': async () => {
      objects.signal('SIGSTOP');
      return async () => objects.signal('SIGCONT');
    },
    'the object store is away': async () => {
      await objects.stop();
      return () => objects.start();
    },
    'the object store starts again': async () => {
      await objects.stop();
      await objects.start();
      return NOTHING;
    },
  };
}

function kill(role: string): Disrupt {
  return async (cluster, random) => {
    const [pid] = await pidsOf(cluster, random.below(3), role);
    signal(pid, 'SIGKILL');
    return NOTHING;
  };
}

/** A role that has just ended has no process for a moment. */
function pidsOf(cluster: TestNodes, index: number, role: string): Promise<readonly number[]> {
  return cluster
    .node(index)
    .pids(role)
    .catch(() => []);
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid !== undefined) signalIfRunning(pid, name);
}
