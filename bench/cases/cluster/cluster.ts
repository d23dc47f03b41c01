import { access } from 'node:fs/promises';
import { whyNoServer } from '../../../test/cluster/support/object-servers.ts';
import type { CaseGroup } from '../../bench.ts';
import { startClusterServices } from '../../servers/cluster-services.ts';
import { HUBGATE } from '../../servers/hubgate.ts';
import { measureFills } from './fills.ts';
import { measureHits } from './hits.ts';
import { measureLeases } from './leases.ts';
import { measureLoaded } from './loaded.ts';

/**
 * Measures what a cluster costs: a hit on a node beside one of a Hubgate that works alone, a fill from the
 * object store, a lease, and what a start without a cluster loads of it.
 */
export const CLUSTER: CaseGroup = {
  name: 'cluster',
  title: 'A cluster',
  rounds: { full: 7, quick: 2 },
  programs: ['wrk'],
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    const reason = (await whyNoServer('versitygw')) || (await whyNoPostgres());
    if (reason !== undefined) {
      process.stdout.write(`  without a cluster: ${reason}\n`);
      return;
    }
    await measureLoaded(bench);
    await using services = await startClusterServices();
    await measureLeases(bench, services);
    await measureFills(bench, services);
    await measureHits(bench, services);
  },
};

async function whyNoPostgres(): Promise<string | undefined> {
  return access('/usr/lib/postgresql').then(
    () => undefined,
    () => 'PostgreSQL is not installed: apt-get install postgresql',
  );
}
