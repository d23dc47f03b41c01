import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { type Evicted, sweep } from '../../src/core/eviction/sweep.ts';
import { openStore } from '../../src/core/store/store.ts';
import type { Digest } from '../../src/registry/digest.ts';
import type { RepositoryName } from '../../src/registry/repository.ts';
import { QUIET } from '../../test/support/test-core.ts';
import type { CaseGroup } from '../bench.ts';
import { MIB } from '../content.ts';
import { fillIndex, UNUSED_FOR } from '../fill-index.ts';
import { memoryOf } from '../process-tree.ts';
import { median, type Sample } from '../results.ts';
import { HUBGATE, startBenchHubgate } from '../servers/hubgate.ts';

const LINKS = [100, 1_000_000];
const QUICK_LINKS = [100_000];
const LOOKUPS = 20_000;
/** The number of different links among the look-ups. */
const SAMPLE = 1000;
/** In milliseconds. */
const HOUR = 3_600_000;
/** The unused blobs to evict: a tenth of the links, but at most this many. */
const EVICTED = 1000;

/** Measures a cache with very much content: starting, looking up, and choosing what to evict. */
export const LINKS_GROUP: CaseGroup = {
  name: 'links',
  title: 'A large index',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    for (const links of bench.settings.quick ? QUICK_LINKS : LINKS) {
      const options = await bench.options([]);
      // The second start is the usual restart: the users exist, and the compile cache is filled.
      await (await startBenchHubgate(options))[Symbol.asyncDispose]();
      const data = path.join(options.directory, 'data');
      const unused = Math.min(EVICTED, links / 10);
      await fillIndex(data, { links, unused });
      const asked = { ...(await timeLookups(data)), ...(await timeEviction(data, unused)) };
      await bench.interleave([links], async () => {
        await using server = await startBenchHubgate({ ...options, again: true });
        await server.authorization();
        const core = memoryOf(server.pid).find(({ name }) => name === 'core');
        bench.record(`${links.toLocaleString('en')} links`, server.name, {
          'start s': server.startSeconds,
          'core MiB': (core?.pss ?? Number.NaN) / MIB,
          ...asked,
        });
      });
    }
  },
};

/** Measures look-ups of existing links in random order, in this process, with the store itself. */
async function timeLookups(directory: string): Promise<Sample> {
  const known = someLinks(directory);
  await using store = await openStore(directory, QUIET, Date.now);
  const { index } = store;
  const times: number[] = [];
  for (let turn = 0; turn < LOOKUPS; turn++) {
    const { name, digest } = known[(turn * 31) % known.length] as KnownLink;
    const begun = performance.now();
    const link = await index.link(name, 'blob', digest);
    times.push((performance.now() - begun) * 1000);
    if (link === undefined) throw new Error('a link that is there was not found');
  }
  return { 'lookup µs': median(times) };
}

/**
 * Measures one whole pass of eviction, which takes what is unused and looks for more, and for how long it
 * blocks other work.
 */
async function timeEviction(directory: string, expected: number): Promise<Sample> {
  await using store = await openStore(directory, QUIET, Date.now);
  const pass = Promise.withResolvers<Evicted>();
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const begun = performance.now();
  const limit = { bytes: async () => Number.MAX_SAFE_INTEGER };
  const times = { interval: 1, afterGrowth: 1, unusedFor: UNUSED_FOR - HOUR };
  await using _ = sweep({ store, limit, clock: Date.now, log: QUIET, onEvicted: pass.resolve, ...times });
  const { blobs } = await pass.promise;
  const seconds = (performance.now() - begun) / 1000;
  loop.disable();
  if (blobs !== expected) throw new Error(`${blobs} blobs were evicted, and not ${expected}`);
  return {
    'eviction pass s': seconds,
    'eviction loop p99 ms': loop.percentile(99) / 1e6,
    'eviction loop max ms': loop.max / 1e6,
  };
}

interface KnownLink {
  readonly name: RepositoryName;
  readonly digest: Digest;
}

function someLinks(directory: string): readonly KnownLink[] {
  using database = new DatabaseSync(path.join(directory, 'index.db'));
  const rows = database
    .prepare(
      `SELECT name, digest FROM link JOIN repository ON id = repository ORDER BY random() LIMIT ${SAMPLE}`,
    )
    .all();
  return rows.map(({ name, digest }) => ({ name: name as RepositoryName, digest: digest as Digest }));
}
