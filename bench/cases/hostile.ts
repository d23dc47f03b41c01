import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../test/support/http.ts';
import { basic } from '../../test/support/test-hubgate.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { blobPath, KIB, MIB, manifestPath, REPOSITORY } from '../content.ts';
import { takeLoopDelays } from '../event-loops.ts';
import { type Attack, type AttackJob, attack, LOWEST_PRIORITY } from '../load/hostile.ts';
import { type MeasuredPulls, measurePulls, p99Of, type Victim, victimOf } from '../load/victim.ts';
import { cpuSeconds, memoryOf, PeakMemory, type ProcessMemory } from '../process-tree.ts';
import { median } from '../results.ts';
import { HUBGATE, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';
import { startUpstream } from '../servers/upstream.ts';
import { checkLayer } from './blobs.ts';

/** Quiet and attacked periods take turns, so that whatever else slows the machine is in both. */
const PERIODS = 6;
const QUICK_PERIODS = 3;
/** Seconds of one period. */
const SECONDS = 3;
const QUICK_SECONDS = 1.5;
/** Milliseconds after the begin of an attack, and after its end, until the next measurement. */
const SETTLE = 500;
const UNREAD_SIZE = 3 * MIB;

const ATTACKS: readonly (readonly [name: string, attacks: readonly Attack[]])[] = [
  ['60,000 pipelined requests', ['pipelined']],
  ['wrong logins', ['logins']],
  ['5,000 cold tags of one user', ['cold-tags']],
  ['clients that never read', ['unread']],
  ['all of these at once', ['pipelined', 'logins', 'cold-tags', 'unread']],
];

/**
 * Measures how hostile clients affect other clients, compared with quiet periods in between. What would run
 * on other machines in life, the attackers and the Hub, takes only the CPU time that the mirror and its other
 * clients leave.
 */
export const HOSTILE: CaseGroup = {
  name: 'hostile',
  title: 'Hostile clients',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    await using upstream = await startUpstream();
    setPriority(upstream.pid, LOWEST_PRIORITY);
    const sizes = [100 * KIB, UNREAD_SIZE];
    const image = await bench.image(
      'hostile',
      sizes.map((size, index) => ({ size, index })),
    );
    await upstream.push(image);
    await using server = await startBenchHubgate({ ...(await bench.options([image])), upstream });
    await Promise.all(sizes.map((_, index) => checkLayer(server, image, index)));
    const [layer, unread] = image.image.layers;
    if (layer === undefined || unread === undefined) throw new Error('the image has no layers');
    const paths = [manifestPath(image.tag), blobPath(layer)];
    const login = await hostileLogin(server);
    const seconds = bench.settings.quick ? QUICK_SECONDS : SECONDS;
    const periods = bench.settings.quick ? QUICK_PERIODS : PERIODS;
    await measurePulls(await victimOf(server, paths), 2 * seconds);
    await bench.interleave(ATTACKS, async ([name, attacks]) => {
      // Tokens are good for five minutes, which is longer than one attack is measured.
      const victim = await victimOf(server, paths);
      const authorization = await tokenFor(server, login);
      const hostile = { port: server.port, layer: blobPath(unread), authorization };
      const quiet: MeasuredPulls[] = [];
      const attacked: Attacked[] = [];
      for (let period = 0; period < periods; period++) {
        bench.settings.stopping.throwIfAborted();
        quiet.push(await measurePulls(victim, seconds));
        attacked.push(
          await measureAttacked(
            victim,
            seconds,
            attacks.map((one) => ({ ...hostile, attack: one })),
          ),
        );
        await delay(SETTLE);
      }
      recordAttack(bench, name, quiet, attacked);
    });
  },
};

interface Attacked extends MeasuredPulls {
  /** Answers that the attackers got in a second. */
  readonly answers: number;
  /** The longest delay of the event loop of each role. */
  readonly loops: Readonly<Record<string, number>>;
  /** Bytes of the gateway that grew most. */
  readonly growth: number;
  /** The CPU time that the mirror's processes used, in percent of one CPU. */
  readonly cpu: Readonly<Record<string, number>>;
}

async function measureAttacked(
  victim: Victim,
  seconds: number,
  jobs: readonly AttackJob[],
): Promise<Attacked> {
  const processes = memoryOf(victim.server.pid);
  const peaks = processes.filter(({ name }) => name === 'gateway').map(({ pid }) => new PeakMemory(pid));
  await using stack = new AsyncDisposableStack();
  const attacks = await Promise.all(jobs.map(async (job) => stack.use(await attack(job))));
  await delay(SETTLE);
  await takeLoopDelays(victim.server);
  const answered = () => attacks.reduce((total, one) => total + one.answers, 0);
  const before = { answers: answered(), cpu: cpuOf(processes) };
  const measured = await measurePulls(victim, seconds);
  const after = { answers: answered(), cpu: cpuOf(processes) };
  const loops = [...(await takeLoopDelays(victim.server))].map(([role, { max }]) => [role, max] as const);
  const used = Object.entries(after.cpu).map(([role, cpu]): [string, number] => {
    return [role, (100 * (cpu - (before.cpu[role] ?? 0))) / seconds];
  });
  return {
    ...measured,
    answers: (after.answers - before.answers) / seconds,
    loops: Object.fromEntries(loops),
    growth: Math.max(...peaks.map((peak) => peak.growth())),
    cpu: Object.fromEntries(used),
  };
}

function cpuOf(processes: readonly ProcessMemory[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const { pid, name } of processes)
    if (name !== 'supervisor') all[name] = (all[name] ?? 0) + cpuSeconds(pid);
  return all;
}

function recordAttack(
  bench: Bench,
  name: string,
  quiet: readonly MeasuredPulls[],
  attacked: readonly Attacked[],
): void {
  const [p99, quietP99] = [p99Of(attacked), p99Of(quiet)];
  const of = (figure: (one: Attacked) => number) => attacked.map(figure);
  const cpu = Object.keys(attacked[0]?.cpu ?? {}).map((role): [string, number] => {
    return [`${role} CPU %`, median(of((one) => one.cpu[role] ?? 0))];
  });
  const loops = Object.keys(attacked[0]?.loops ?? {}).map((role): [string, number] => {
    return [`${role} loop max ms`, Math.max(...of((one) => one.loops[role] ?? 0))];
  });
  bench.record(name, 'hubgate', {
    'p99 × quiet': p99 / quietP99,
    'p99 ms': p99,
    'quiet p99 ms': quietP99,
    'healthz max ms': Math.max(...of(({ probe }) => probe)),
    'quiet healthz max ms': Math.max(...quiet.map(({ probe }) => probe)),
    'gateway MiB more': Math.max(...of(({ growth }) => growth)) / MIB,
    failures: of(({ failures }) => failures).reduce((total, one) => total + one, 0),
    'attack answers/s': median(of(({ answers }) => answers)),
    ...Object.fromEntries([...loops, ...cpu]),
  });
}

/** Returns the login of a separate user. */
async function hostileLogin(server: HubgateServer): Promise<string> {
  await server.run('user', 'add', 'mallory', '--service');
  const made = await server.run('token', 'create', 'mallory', '--expires', '1d', '--json');
  return basic('mallory', JSON.parse(made).token);
}

async function tokenFor({ port }: HubgateServer, login: string): Promise<string> {
  const { status, body } = await ask({
    ...{ tls: true, host: 'localhost', port, agent: false, rejectUnauthorized: false },
    path: `/token?service=bench&scope=repository:${REPOSITORY}:pull`,
    headers: { authorization: login },
  });
  if (status !== 200) throw new Error(`no token: ${status} ${body}`);
  return `Bearer ${JSON.parse(body.toString()).token}`;
}
