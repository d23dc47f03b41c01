import { randomUUID } from 'node:crypto';
import { openClusterDatabase } from '../../../src/cluster/database.ts';
import { Leases } from '../../../src/cluster/leases.ts';
import { CLUSTER_LIMITS } from '../../../src/cluster/limits.ts';
import { Nodes } from '../../../src/cluster/nodes.ts';
import { Postgres } from '../../../src/platform/postgres.ts';
import { QUIET } from '../../../test/support/test-core.ts';
import type { Bench } from '../../bench.ts';
import { median } from '../../results.ts';
import type { ClusterServices } from '../../servers/cluster-services.ts';

const LEASES = 300;
const WARM_UP = 50;
/** As many as the connections of sixteen nodes. */
const AT_ONCE = 16;
/** The patience with a database that is to be saturated, in milliseconds. */
const DEADLINE = 60_000;

/** Measures a lease, and how many statements a second the database takes. */
export async function measureLeases(bench: Bench, { database: url }: ClusterServices): Promise<void> {
  const application = 'hubgate bench';
  await using shared = await openClusterDatabase({ url, application, log: QUIET });
  await using one = new Postgres({ url, application, connections: 1, deadline: DEADLINE });
  await using many = new Postgres({ url, application, connections: AT_ONCE, deadline: DEADLINE });
  const own = { id: 'bench', address: 'a:1', certificate: 'c', version: '1' };
  await using nodes = await Nodes.join({
    own,
    database: shared.database,
    limits: CLUSTER_LIMITS,
    log: QUIET,
  });
  const single = new Leases({ nodes, database: one, limits: CLUSTER_LIMITS, log: QUIET });
  const crowd = new Leases({ nodes, database: many, limits: CLUSTER_LIMITS, log: QUIET });
  for (let round = 0; round < bench.rounds; round++) {
    await takeOne(single, WARM_UP);
    const times = await takeOne(single, LEASES);
    times.sort((a, b) => a - b);
    bench.record('lease', 'hubgate', {
      'p50 ms': median(times),
      'p99 ms': times[Math.floor(LEASES * 0.99)] ?? 0,
    });
    const leases = await rateOf(async () => void (await takeOne(crowd, 1)));
    const lookups = await rateOf(async () => void (await crowd.holder('sha256:absent')));
    // A lease is one statement to take it and one to give it back.
    bench.record('the database', 'hubgate', { 'writes/s': 2 * leases, 'reads/s': lookups });
  }
  await many.change(`DELETE FROM hubgate.node WHERE id = 'bench'`);
}

async function takeOne(leases: Leases, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const begun = performance.now();
    const lease = await leases.take(`sha256:${randomUUID()}`);
    times.push(performance.now() - begun);
    if (lease.kind !== 'held') throw new Error('somebody else has a lease that nobody knows');
    await lease[Symbol.asyncDispose]();
  }
  return times;
}

/** Returns how often a second a task ends if so many run at once. */
async function rateOf(task: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  const end = begun + 1000;
  let done = 0;
  const worker = async () => {
    while (performance.now() < end) {
      await task();
      done++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return (1000 * done) / (performance.now() - begun);
}
