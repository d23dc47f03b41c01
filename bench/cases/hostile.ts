import { Agent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../test/support/http.ts';
import { basic } from '../../test/support/test-hubgate.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { blobPath, KIB, MIB, manifestPath, REPOSITORY } from '../content.ts';
import { type Attack, attack } from '../load/hostile.ts';
import { memoryOf } from '../process-tree.ts';
import { HUBGATE, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';
import { checkLayer } from './blobs.ts';

const SECONDS = 10;
const QUICK_SECONDS = 3;
const CLIENTS = 4;
/** In milliseconds between two probes. */
const PROBE_EVERY = 50;
const UNREAD_SIZE = 3 * MIB;

const ATTACKS: readonly (readonly [name: string, attacks: readonly Attack[]])[] = [
  ['60,000 pipelined requests', ['pipelined']],
  ['wrong logins', ['logins']],
  ['5,000 cold tags of one user', ['cold-tags']],
  ['clients that never read', ['unread']],
  ['all of these at once', ['pipelined', 'logins', 'cold-tags', 'unread']],
];

/** Measures how hostile clients affect other clients, compared with a quiet run just before. */
export const HOSTILE: CaseGroup = {
  name: 'hostile',
  title: 'Hostile clients',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    const sizes = [100 * KIB, UNREAD_SIZE];
    const image = await bench.image(
      'hostile',
      sizes.map((size, index) => ({ size, index })),
    );
    await using server = await startBenchHubgate(await bench.options([image]));
    const targets = sizes.map((_, index) => checkLayer(server, image, index));
    await Promise.all(targets);
    const [layer, unread] = image.image.layers;
    if (layer === undefined || unread === undefined) throw new Error('the image has no layers');
    const victim = { server, paths: [manifestPath(image.tag), blobPath(layer)] };
    const hostile = { port: server.port, layer: blobPath(unread), authorization: await hostileToken(server) };
    const seconds = bench.settings.quick ? QUICK_SECONDS : SECONDS;
    await measure(victim, seconds);
    await bench.interleave(ATTACKS, async ([name, attacks]) => {
      const quiet = await measure(victim, seconds);
      const before = gatewaysOf(server);
      await using stack = new AsyncDisposableStack();
      for (const one of attacks) stack.use(await attack({ ...hostile, attack: one }));
      const watch = watchGrowth(server, before);
      const attacked = await measure(victim, seconds);
      recordAttack(bench, name, { quiet, attacked, growth: watch.stop() });
    });
  },
};

interface Victim {
  readonly server: HubgateServer;
  readonly paths: readonly string[];
}

/** In milliseconds. */
interface Measured {
  readonly p99: number;
  readonly probe: number;
  readonly failures: number;
}

/** Pulls cached content with clients that read it, and probes the mirror meanwhile. */
async function measure({ server, paths }: Victim, seconds: number): Promise<Measured> {
  const authorization = (await server.authorization()) ?? '';
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS + 1, rejectUnauthorized: false });
  const get = async (path: string, headers: Record<string, string>) => {
    const begun = performance.now();
    const { status } = await ask({ tls: true, host: 'localhost', port: server.port, path, agent, headers });
    return { status, milliseconds: performance.now() - begun };
  };
  const end = performance.now() + seconds * 1000;
  const times: number[] = [];
  let failures = 0;
  const pull = async () => {
    for (let turn = 0; performance.now() < end; turn++) {
      const { status, milliseconds } = await get(paths[turn % paths.length] ?? '', { authorization });
      times.push(milliseconds);
      if (status !== 200) failures++;
    }
  };
  let probe = 0;
  const look = async () => {
    while (performance.now() < end) {
      probe = Math.max(probe, (await get('/healthz', {})).milliseconds);
      await delay(PROBE_EVERY);
    }
  };
  await Promise.all([look(), ...Array.from({ length: CLIENTS }, pull)]);
  agent.destroy();
  times.sort((one, other) => one - other);
  return { p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN, probe, failures };
}

interface Result {
  readonly quiet: Measured;
  readonly attacked: Measured;
  readonly growth: number;
}

function recordAttack(bench: Bench, name: string, { quiet, attacked, growth }: Result): void {
  bench.record(name, 'hubgate', {
    'p99 × quiet': attacked.p99 / quiet.p99,
    'p99 ms': attacked.p99,
    'quiet p99 ms': quiet.p99,
    'healthz max ms': attacked.probe,
    'quiet healthz max ms': quiet.probe,
    'gateway MiB more': growth / MIB,
    failures: attacked.failures,
  });
}

function gatewaysOf({ pid }: HubgateServer): Map<number, number> {
  const gateways = memoryOf(pid).filter(({ name }) => name === 'gateway');
  return new Map(gateways.map((one) => [one.pid, one.pss]));
}

/** Returns the growth in bytes of the gateway that grew most. */
function watchGrowth(server: HubgateServer, before: ReadonlyMap<number, number>) {
  let most = 0;
  const look = () => {
    for (const [pid, pss] of gatewaysOf(server)) most = Math.max(most, pss - (before.get(pid) ?? pss));
  };
  const timer = setInterval(look, 500);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return most;
    },
  };
}

/** Returns a token of a separate user. */
async function hostileToken(server: HubgateServer): Promise<string> {
  await server.run('user', 'add', 'mallory', '--service');
  const made = await server.run('token', 'create', 'mallory', '--expires', '1d', '--json');
  const { status, body } = await ask({
    ...{ tls: true, host: 'localhost', port: server.port, agent: false, rejectUnauthorized: false },
    path: `/token?service=bench&scope=repository:${REPOSITORY}:pull`,
    headers: { authorization: basic('mallory', JSON.parse(made).token) },
  });
  if (status !== 200) throw new Error(`no token: ${status} ${body}`);
  return `Bearer ${JSON.parse(body.toString()).token}`;
}
