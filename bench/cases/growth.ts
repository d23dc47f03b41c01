import path from 'node:path';
import type { Bench, CaseGroup } from '../bench.ts';
import { ACCEPT, type BenchImage, blobPath, KIB, MIB, manifestPath } from '../content.ts';
import { fillIndex, holdImage } from '../fill-index.ts';
import { runWrk } from '../load/wrk.ts';
import { HUBGATE, type HubgateOptions, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';
import { checkLayer } from './blobs.ts';

interface Size {
  readonly links: number;
  readonly rules: number;
  readonly users: number;
}

/** A server that has grown to a certain size, and the requests to it. */
interface Grown {
  readonly server: HubgateServer;
  readonly named: string;
  readonly requests: Readonly<Record<'manifest' | 'blob', readonly [string, ...string[]]>>;
}

const FEW = 100;
const MANY_LINKS = 1_000_000;
const QUICK_MANY_LINKS = 100_000;
const MANY_RULES = 10_000;
const QUICK_MANY_RULES = 1_000;
const CONNECTIONS = 32;
const BLOB = 4 * KIB;
/** Four times as many as a gateway caches. In turn, each request asks the core, which asks its index. */
const BLOBS = 1000;

/**
 * Measures whether a request costs more if there is more: the same Hubgate with few and many links, few and
 * many rules. A manifest comes from a gateway's memory after the policy was asked; a blob is looked up in the
 * index.
 */
export const GROWTH: CaseGroup = {
  name: 'growth',
  title: 'Growth',
  rounds: { full: 7, quick: 3 },
  programs: ['wrk'],
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    const { quick } = bench.settings;
    const sizes: Size[] = [
      { links: FEW, rules: 100, users: 1000 },
      { links: quick ? QUICK_MANY_LINKS : MANY_LINKS, rules: 100, users: 1000 },
      { links: FEW, rules: 10, users: 100 },
      { links: FEW, rules: quick ? QUICK_MANY_RULES : MANY_RULES, users: 10_000 },
    ];
    await using stack = new AsyncDisposableStack();
    const layers = Array.from({ length: BLOBS }, (_, index) => ({ size: BLOB, index }));
    const image = await bench.image('growth', layers);
    const contentDirectory = await bench.files([image]);
    const all: Grown[] = [];
    for (const size of sizes) {
      const options = await bench.options([]);
      const data = path.join(options.directory, 'data');
      await fillIndex(data, size);
      await holdImage(data, contentDirectory, image);
      const named = `${size.links.toLocaleString('en')} links and ${size.rules.toLocaleString('en')} rules`;
      const server = await startOrSay({ ...options, ...size }, named);
      if (server === undefined) continue;
      stack.use(server);
      all.push({ server, named, requests: await checkRequests(server, image) });
    }
    for (const kind of ['manifest', 'blob'] as const) {
      await bench.warmUp(all, (one, seconds) => ask(bench, one, kind, seconds));
      await bench.interleave(all, (one) => measure(bench, one, kind));
    }
  },
};

/**
 * Starts a server, or reports that it cannot start with this size. Such a result does not stop the other
 * measurements.
 */
async function startOrSay(options: HubgateOptions, named: string): Promise<HubgateServer | undefined> {
  try {
    return await startBenchHubgate(options);
  } catch (error) {
    process.stdout.write(`  ${named}: ${(error as Error).message}\n`);
    return undefined;
  }
}

async function checkRequests(server: HubgateServer, image: BenchImage): Promise<Grown['requests']> {
  for (const index of [0, BLOBS - 1]) await checkLayer(server, image, index);
  const [first, ...others] = image.image.layers.map(blobPath);
  if (first === undefined) throw new Error('there are no blobs');
  return { manifest: [manifestPath(image.image.digest)], blob: [first, ...others] };
}

async function ask(
  bench: Bench,
  { server, requests }: Grown,
  kind: keyof Grown['requests'],
  seconds: number,
) {
  const headers = { accept: ACCEPT, authorization: (await server.authorization()) ?? '' };
  const { port } = server;
  const { directory } = bench;
  return runWrk({ port, paths: requests[kind], headers, connections: CONNECTIONS, seconds, directory });
}

async function measure(bench: Bench, one: Grown, kind: keyof Grown['requests']): Promise<void> {
  const [result, cost] = await bench.cost(one.server, () => ask(bench, one, kind, bench.settings.seconds));
  bench.record(`${kind}, ${one.named}`, one.server.name, {
    'CPU s/1000': (1000 * cost.cpuSeconds) / result.requests,
    'requests/s': result.requests / result.seconds,
    'p99 ms': result.p99 * 1000,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors,
  });
}
