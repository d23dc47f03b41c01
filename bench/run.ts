/**
 * `npm run bench` measures Hubgate and its peers side by side on this machine. `-- --help` lists the options.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Bench, type BenchSettings, type CaseGroup } from './bench.ts';
import { BLOBS, checkLayer } from './cases/blobs.ts';
import { BUDGET } from './cases/budget.ts';
import { CLUSTER } from './cases/cluster/cluster.ts';
import { COLD } from './cases/cold.ts';
import { CONFIRMATIONS } from './cases/confirmations.ts';
import { CROWD } from './cases/crowd.ts';
import { DISK } from './cases/disk.ts';
import { EDITS } from './cases/edits.ts';
import { GROWTH } from './cases/growth.ts';
import { HOSTILE } from './cases/hostile.ts';
import { IDLE } from './cases/idle.ts';
import { LINKS_GROUP } from './cases/links.ts';
import { LOGINS } from './cases/logins.ts';
import { MANIFESTS } from './cases/manifests.ts';
import { POLICY } from './cases/policy.ts';
import { PUSH } from './cases/push.ts';
import { SLOW_READERS } from './cases/slow-readers.ts';
import { TOKENS } from './cases/tokens.ts';
import { type BenchImage, KIB } from './content.ts';
import { writePage, writeTargets } from './report.ts';
import { readResults, writeResult } from './results.ts';
import { HUBGATE } from './servers/hubgate.ts';
import { NGINX, NGINX_64K } from './servers/nginx.ts';
import { missingProgram } from './servers/peers.ts';
import { DOCKER_REGISTRY, REGISTRY_3 } from './servers/registry.ts';
import type { ServerKind } from './servers/server.ts';
import { ZOT } from './servers/zot.ts';

/** The groups in order of importance. */
const GROUPS: readonly CaseGroup[] = [
  ...[BLOBS, MANIFESTS, TOKENS, COLD, SLOW_READERS, CROWD],
  ...[DISK, LINKS_GROUP, POLICY, BUDGET, LOGINS, CONFIRMATIONS, PUSH, EDITS, IDLE, GROWTH, HOSTILE, CLUSTER],
];
/** The groups for which three minutes are enough. */
const QUICK_GROUPS = [BLOBS, MANIFESTS, TOKENS, COLD, LINKS_GROUP, POLICY, HOSTILE];
const KINDS: readonly ServerKind[] = [HUBGATE, DOCKER_REGISTRY, REGISTRY_3, ZOT, NGINX, NGINX_64K];
/** nginx with Debian's settings is slower than with larger buffers, and no target refers to it. */
const DEFAULT_KINDS = KINDS.filter((kind) => kind !== NGINX);
const RESULTS = path.join(import.meta.dirname, 'results');

const HELP = `npm run bench -- [options]

  --quick            what matters most, small and short: three minutes on a machine that does nothing
                     else. Results go to bench/results/quick
  --case NAMES       only these: ${GROUPS.map(({ name }) => name).join(', ')}
  --servers NAMES    only these: ${KINDS.map(({ name }) => name).join(', ')} (all but nginx)
  --rounds N         how often each server is measured, instead of what a group has of its own
  --seconds N        how long each time (3; quick: 1)
  --page             docs/performance.md is written even of quick results, to see how it looks

Names are separated by commas. PEERS_DIR is where the binaries of peers are that Debian has not, see CONTRIBUTING.md.
`;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    case: { type: 'string' },
    servers: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    page: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Returns those of `all` that are named, or all of them if none is. */
function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  names: string | undefined,
): readonly T[] {
  if (names === undefined) return all;
  return names.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) {
      process.stderr.write(`there is no ${name}; there are ${all.map((one) => one.name).join(', ')}\n`);
      process.exit(2);
    }
    return found;
  });
}

async function present(kinds: readonly ServerKind[]): Promise<ServerKind[]> {
  const found: ServerKind[] = [];
  for (const kind of kinds) {
    const reason = await kind.missing();
    if (reason === undefined) found.push(kind);
    else print(`without ${kind.name}: ${reason}`);
  }
  return found;
}

/** Leaves out the groups whose programs are not installed. */
async function measurable(groups: readonly CaseGroup[]): Promise<CaseGroup[]> {
  const found: CaseGroup[] = [];
  for (const group of groups) {
    const { name, programs = [] } = group;
    const reasons = await Promise.all(programs.map(missingProgram));
    const missing = programs.filter((_, index) => reasons[index] !== undefined);
    if (missing.length === 0) found.push(group);
    else
      print(
        `without the case ${name}: there is no ${missing.join(', ')}: apt-get install ${missing.join(' ')}`,
      );
  }
  return found;
}

async function run(): Promise<void> {
  const { quick } = values;
  const named = values.case === undefined && quick ? QUICK_GROUPS : chosen(GROUPS, values.case);
  const groups = await measurable(named);
  if (groups.length === 0) {
    process.exitCode = 1;
    return;
  }
  const all = values.servers === undefined ? DEFAULT_KINDS : chosen(KINDS, values.servers);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const seconds = Number(values.seconds ?? (quick ? 1 : 3));
  const settings = { quick, rounds, seconds, stopping: stopping.signal };
  const kinds = await working({ ...settings, kinds: await present(all) });
  await using bench = await Bench.start({ ...settings, kinds });
  const measured: CaseGroup[] = [];
  for (const group of groups) if (await measure(bench, group)) measured.push(group);
  await report(measured);
}

/**
 * Finds the peers that work. If one does not serve its content, it is better to know now than after half an
 * hour.
 */
async function working(settings: BenchSettings): Promise<ServerKind[]> {
  await using bench = await Bench.start(settings);
  const image = await bench.image('trial', [{ size: KIB, index: 0 }]);
  const found: ServerKind[] = [];
  for (const kind of settings.kinds) {
    const reason = kind === HUBGATE ? undefined : await tryOut(bench, kind, image);
    if (reason === undefined) found.push(kind);
    else print(`without ${kind.name}: ${reason}`);
  }
  return found;
}

async function tryOut(bench: Bench, kind: ServerKind, image: BenchImage): Promise<string | undefined> {
  await using stack = new AsyncDisposableStack();
  try {
    for (const server of await bench.startAll([image], stack, [kind])) await checkLayer(server, image, 0);
    return undefined;
  } catch (error) {
    bench.settings.stopping.throwIfAborted();
    return (error as Error).message;
  }
}

/** Resolves to false if the group has nothing to measure, for example because it lacks a server. */
async function measure(bench: Bench, group: CaseGroup): Promise<boolean> {
  const { name, title } = group;
  const { quick } = bench.settings;
  print(`\n${title}`);
  bench.begin(group);
  const begun = performance.now();
  await group.run(bench);
  const seconds = Math.round((performance.now() - begun) / 1000);
  print(`  ${seconds} s`);
  const directory = quick ? path.join(RESULTS, 'quick') : RESULTS;
  const { rounds, rows } = bench;
  await writeResult(directory, { group: name, title, quick, rounds, seconds, rows: rows.all() });
  return rows.all().length > 0;
}

/** Reports the whole run as far as it got. The page has only the figures of full measurements. */
async function report(groups: readonly CaseGroup[]): Promise<void> {
  const directory = values.quick ? path.join(RESULTS, 'quick') : RESULTS;
  const order = GROUPS.map(({ name }) => name);
  const results = (await readResults(directory)).sort((one, other) => {
    return order.indexOf(one.group) - order.indexOf(other.group);
  });
  const now = results.filter(({ group }) => groups.some(({ name }) => name === group));
  print(`\n${writeTargets(now)}`);
  if (!values.quick || values.page) await writePage(results);
}

// The current measurement ends, and then everything that was started is stopped as usual.
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stopping.abort());

if (values.help) print(HELP);
else {
  try {
    await run();
  } catch (error) {
    // Servers and load generators get Ctrl-C too, so anything may have failed by then.
    if (!stopping.signal.aborted) throw error;
    print('interrupted');
    process.exitCode = 130;
  }
}
