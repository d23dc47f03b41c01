import type { CaseGroup } from '../bench.ts';
import { MIB } from '../content.ts';
import { readSealed } from '../load/sealed.ts';
import type { Target } from '../load/sealed-reader.ts';
import type { BenchServer } from '../servers/server.ts';
import { checkLayer } from './blobs.ts';

const CLIENTS = [500, 1000];
const QUICK_CLIENTS = [500];
const SIZE = 5 * MIB;
const PATIENCE = 60;

/** Measures very many clients at once, each with one pull of a cached blob at full speed. */
export const CROWD: CaseGroup = {
  name: 'crowd',
  title: 'Many clients at once',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    await using stack = new AsyncDisposableStack();
    const image = await bench.image('crowd', [{ size: SIZE, index: 0 }]);
    const servers = await bench.startAll([image], stack);
    const targets = new Map<BenchServer, Target>();
    for (const server of servers) targets.set(server, await checkLayer(server, image, 0));
    for (const clients of bench.settings.quick ? QUICK_CLIENTS : CLIENTS) {
      await bench.interleave(servers, async (server) => {
        const authorization = await server.authorization();
        const target = { ...(targets.get(server) as Target), ...(authorization && { authorization }) };
        const job = { port: server.port, lists: [[target]], connections: clients, patience: PATIENCE };
        const [result, cost] = await bench.cost(server, () => readSealed(job));
        bench.record(`${clients} clients at once`, server.name, {
          seconds: result.seconds,
          'MB/s': result.bytes / 1e6 / result.seconds,
          'slowest s': result.times.reduce((most, time) => Math.max(most, time), 0),
          'CPU s/GB': cost.cpuSeconds / (result.bytes / 1e9),
          'peak MiB': cost.peakMemory / MIB,
          ...cost.loop,
          errors: result.errors.length,
        });
      });
    }
  },
};
