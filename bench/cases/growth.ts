import path from 'node:path';
import type { Bench, CaseGroup } from '../bench.ts';
import { ACCEPT, type BenchImage, KIB, MIB, manifestPath } from '../content.ts';
import { fillIndex } from '../fill-index.ts';
import { runWrk } from '../load/wrk.ts';
import { HUBGATE, type HubgateOptions, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';
import { checkLayer } from './blobs.ts';

interface Size {
  readonly links: number;
  readonly rules: number;
  readonly users: number;
}

const FEW = 100;
const MANY_LINKS = 1_000_000;
const QUICK_MANY_LINKS = 100_000;
const MANY_RULES = 10_000;
const QUICK_MANY_RULES = 1_000;
const CONNECTIONS = 32;
const BLOB = 4 * KIB;

/** Does a request cost more where there is more? The same Hubgate, with few and many links, few and many rules. */
export const GROWTH: CaseGroup = {
  name: 'growth',
  title: 'Growth',
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
    const image = await bench.image('growth', [{ size: BLOB, index: 0 }]);
    const all: [HubgateServer, string, string][] = [];
    for (const size of sizes) {
      const options = await bench.options([]);
      await fillIndex(path.join(options.directory, 'data'), size.links);
      const named = `${size.links.toLocaleString('en')} links and ${size.rules.toLocaleString('en')} rules`;
      const server = await startOrSay({ ...options, ...size }, named);
      if (server === undefined) continue;
      stack.use(server);
      const target = await checkLayer(server, image, 0);
      all.push([server, named, target.path]);
    }
    await bench.interleave(all, async ([server, named, blob]) => {
      await measure(bench, server, `manifest, ${named}`, digestPath(image));
      await measure(bench, server, `blob, ${named}`, blob);
    });
  },
};

/** One size that it cannot bear is a finding, and no reason not to measure the others. */
async function startOrSay(options: HubgateOptions, named: string): Promise<HubgateServer | undefined> {
  try {
    return await startBenchHubgate(options);
  } catch (error) {
    process.stdout.write(`  ${named}: ${(error as Error).message}\n`);
    return undefined;
  }
}

function digestPath({ image }: BenchImage): string {
  return manifestPath(image.digest);
}

async function measure(bench: Bench, server: HubgateServer, what: string, asked: string): Promise<void> {
  const { seconds } = bench.settings;
  const headers = { accept: ACCEPT, authorization: (await server.authorization()) ?? '' };
  const { port } = server;
  const job = { port, path: asked, headers, connections: CONNECTIONS, seconds, directory: bench.directory };
  const [result, cost] = await bench.cost(server, () => runWrk(job));
  bench.record(what, server.name, {
    'CPU s/1000': (1000 * cost.cpuSeconds) / result.requests,
    'requests/s': result.requests / result.seconds,
    'p99 ms': result.p99 * 1000,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors,
  });
}
