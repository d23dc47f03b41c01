import path from 'node:path';
import { openStore } from '../../src/core/store/store.ts';
import type { Digest } from '../../src/registry/digest.ts';
import type { RepositoryName } from '../../src/registry/repository.ts';
import { QUIET } from '../../test/support/test-core.ts';
import type { CaseGroup } from '../bench.ts';
import { MIB } from '../content.ts';
import { fillIndex } from '../fill-index.ts';
import { memoryOf } from '../process-tree.ts';
import { median, type Sample } from '../results.ts';
import { HUBGATE, startBenchHubgate } from '../servers/hubgate.ts';

const LINKS = [100, 1_000_000];
const QUICK_LINKS = [100, 100_000];
const LOOKUPS = 20_000;
/** Of one step of an eviction. */
const BATCH = 100;

/** A cache that knows of very much: starting, looking up, choosing what goes. */
export const LINKS_GROUP: CaseGroup = {
  name: 'links',
  title: 'A large index',
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    for (const links of bench.settings.quick ? QUICK_LINKS : LINKS) {
      const options = await bench.options([]);
      // The second start is what a restart is: the users are made, the compiler's cache is filled.
      await (await startBenchHubgate(options))[Symbol.asyncDispose]();
      const data = path.join(options.directory, 'data');
      await fillIndex(data, links);
      const lookups = await timeLookups(data);
      await bench.interleave(
        [links],
        async () => {
          await using server = await startBenchHubgate({ ...options, again: true });
          await server.authorization();
          const core = memoryOf(server.pid).find(({ name }) => name === 'core');
          bench.record(`${links.toLocaleString('en')} links`, server.name, {
            'start s': server.startSeconds,
            'core MiB': (core?.pss ?? Number.NaN) / MIB,
            ...lookups,
          });
        },
        bench.fewRounds,
      );
    }
  },
};

/** In this process, of the store itself: links that are there, in a random order, and what an eviction asks. */
async function timeLookups(directory: string): Promise<Sample> {
  await using store = await openStore(directory, QUIET, Date.now);
  const { index } = store;
  const names = (await index.repositories()).map(({ name }) => name);
  const known: [RepositoryName, Digest][] = [];
  for (let turn = 0; known.length < Math.min(LOOKUPS, 1000); turn++) {
    const name = names[(turn * 7919) % names.length] as RepositoryName;
    const digests = await index.links(name);
    known.push([name, digests[turn % digests.length] as Digest]);
  }
  const times: number[] = [];
  for (let turn = 0; turn < LOOKUPS; turn++) {
    const [name, digest] = known[(turn * 31) % known.length] as [RepositoryName, Digest];
    const begun = performance.now();
    const link = await index.link(name, 'blob', digest);
    times.push((performance.now() - begun) * 1000);
    if (link === undefined) throw new Error('a link that is there was not found');
  }
  const before = performance.now();
  await index.stats();
  await index.unusedSince(Date.now(), BATCH);
  const eviction = performance.now() - before;
  return { 'lookup µs': median(times), 'eviction step ms': eviction };
}
