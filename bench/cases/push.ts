import { createHash } from 'node:crypto';
import { Agent } from 'node:https';
import { ask } from '../../test/support/http.ts';
import { basic } from '../../test/support/test-hubgate.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { blobPath, KIB, type Layer, MIB, manifestPath, PUSHED } from '../content.ts';
import { type PushJob, preparePush } from '../load/pusher.ts';
import { type MeasuredPulls, measurePulls, p99Of, type Victim, victimOf } from '../load/victim.ts';
import { totalMemory } from '../process-tree.ts';
import { HUBGATE, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';
import { DOCKER_REGISTRY, REGISTRY_3 } from '../servers/registry.ts';
import type { BenchServer } from '../servers/server.ts';
import { countSyncs } from '../syncs.ts';
import { checkLayer } from './blobs.ts';

const LARGE = 512 * MIB;
const QUICK_LARGE = 64 * MIB;
const LARGE_AT_ONCE = 2;
/** Something else takes a part of the memory that is freed before a push. */
const FREED_FOR_EACH_BYTE = 1.5;

const SYNCED = 20;
const SMALL = 4 * MIB;

const SLOW_PUSHERS = 100;
const QUICK_SLOW_PUSHERS = 20;
/** In bytes per second for each. */
const RATE = 400 * KIB;
/** Fewer than the uploads that one subject may have open. */
const PUSHERS_OF_USER = 15;

const PERIODS = 6;
const QUICK_PERIODS = 3;
/** Seconds of one period. */
const SECONDS = 3;
const QUICK_SECONDS = 1.5;
const PUSHERS_BESIDE_PULLS = 4;
const BESIDE_PULLS = 16 * MIB;

const TAGS = 50_000;
const QUICK_TAGS = 5_000;
/** The most that one push of a manifest sets. */
const TAGS_AT_ONCE = 20;
const TAG_PUSHERS = 8;
const PAGE = 100;
const PAGES = 1_000;
const PAGES_TO_WARM_UP = 200;

/** Measures pushes: their cost, what they sync, what slow ones keep in memory, and what they do to pulls. */
export const PUSH: CaseGroup = {
  name: 'push',
  title: 'Pushes',
  rounds: { full: 5, quick: 1 },
  async run(bench) {
    const { kinds: all } = bench.settings;
    const kinds = [HUBGATE, DOCKER_REGISTRY, REGISTRY_3].filter((kind) => all.includes(kind));
    const image = await bench.image('push', [{ size: 100 * KIB, index: 0 }]);
    await using stack = new AsyncDisposableStack();
    const servers = await bench.startAll([image], stack, kinds, { isPushedTo: true });
    for (const server of servers) await pushSlowly(bench, server);
    for (const server of servers) await measureSyncs(bench, server);
    const layers = new Map(servers.map((server) => [server, 0]));
    await bench.interleave(servers, async (server) => {
      const first = layers.get(server) ?? 0;
      layers.set(server, first + LARGE_AT_ONCE);
      await pushLarge(bench, server, first);
    });
    if (!kinds.includes(HUBGATE)) return;
    await using hubgate = await startBenchHubgate({ ...(await bench.options([image])), isPushedTo: true });
    await Promise.all(image.layers.map((_, index) => checkLayer(hubgate, image, index)));
    const paths = image.image.layers.map(blobPath);
    const victim = await victimOf(hubgate, [manifestPath(image.tag), ...paths]);
    const registries = servers.filter((server) => !isHubgate(server));
    await pullBesidePushes(bench, { victim, receivers: [hubgate, ...registries] });
    await measureTags(bench, hubgate);
  },
};

function layersOf(size: number, count: number, first = 0): Layer[] {
  return Array.from({ length: count }, (_, index) => ({ size, index: first + index }));
}

async function jobFor(server: BenchServer, job: Pick<PushJob, 'layers' | 'pushers'>): Promise<PushJob> {
  const authorization = (await server.authorization(PUSHED)) ?? '';
  return { port: server.port, repository: PUSHED, authorizations: [authorization], ...job };
}

/** Pushes each time other bytes, because a registry may skip what it has. */
async function pushLarge(bench: Bench, server: BenchServer, first: number): Promise<void> {
  const size = bench.settings.quick ? QUICK_LARGE : LARGE;
  const layers = layersOf(size, LARGE_AT_ONCE, first);
  await using client = await preparePush(await jobFor(server, { layers, pushers: LARGE_AT_ONCE }));
  await bench.warmPageCache(FREED_FOR_EACH_BYTE * LARGE_AT_ONCE * size);
  const [result, cost] = await bench.cost(server, () => client.push());
  bench.record(`push ${size / MIB} MiB × ${LARGE_AT_ONCE}`, server.name, {
    'MB/s': result.bytes / 1e6 / result.seconds,
    'CPU s/GiB': cost.cpuSeconds / (result.bytes / 2 ** 30),
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors.length,
  });
}

async function measureSyncs(bench: Bench, server: BenchServer): Promise<void> {
  // The slow pushes have pushed the first ones.
  const layers = layersOf(SMALL, SYNCED, SLOW_PUSHERS);
  await using client = await preparePush(await jobFor(server, { layers, pushers: 1 }));
  let errors = 0;
  const syncs = await countSyncs(server.pid, bench.directory, async () => {
    errors = (await client.push()).errors.length;
  });
  const sample = syncs === undefined ? {} : { 'syncs per blob': syncs / SYNCED };
  if (syncs === undefined)
    process.stdout.write('  syncs are not counted: strace is absent, or may not trace\n');
  bench.record(`push ${SMALL / MIB} MiB, one by one`, server.name, { ...sample, errors });
}

async function pushSlowly(bench: Bench, server: BenchServer): Promise<void> {
  const pushers = bench.settings.quick ? QUICK_SLOW_PUSHERS : SLOW_PUSHERS;
  const layers = layersOf(SMALL, pushers);
  const job = await jobFor(server, { layers, pushers });
  const authorizations = await userAuthorizations(server, Math.ceil(pushers / PUSHERS_OF_USER));
  {
    await using first = await preparePush({ ...job, layers: layers.slice(0, 1), pushers: 1 });
    await first.push();
  }
  await using client = await preparePush({ ...job, authorizations, rate: RATE });
  const idle = totalMemory(server.pid);
  const [result, cost] = await bench.cost(server, () => client.push());
  bench.record(`${pushers} slow pushes of ${SMALL / MIB} MiB`, server.name, {
    'MiB above idle': (cost.peakMemory - idle) / MIB,
    'idle MiB': idle / MIB,
    seconds: result.seconds,
    errors: result.errors.length,
  });
}

/** Returns the headers of as many users as it takes, where a user has a limit. */
async function userAuthorizations(server: BenchServer, users: number): Promise<string[]> {
  if (!isHubgate(server)) return [(await server.authorization(PUSHED)) ?? ''];
  const names = Array.from({ length: users }, (_, index) => `pusher-${index}`);
  const authorizations: string[] = [];
  for (const name of names) {
    await server.run('user', 'add', name, '--service');
    const made = await server.run('token', 'create', name, '--expires', '1d', '--json');
    authorizations.push(basic(name, JSON.parse(made).token));
  }
  return authorizations;
}

function isHubgate(server: BenchServer): server is HubgateServer {
  return 'adminPort' in server;
}

/**
 * Compares the times of Hubgate's cached pulls during pushes with those in quiet periods in between. The
 * pushes go to Hubgate, and by turns to each registry beside it. The latter shows what pushes cost the pulls
 * if another program of the same machine receives them.
 */
async function pullBesidePushes(
  bench: Bench,
  { victim, receivers }: { victim: Victim; receivers: readonly BenchServer[] },
): Promise<void> {
  const seconds = bench.settings.quick ? QUICK_SECONDS : SECONDS;
  const periods = bench.settings.quick ? QUICK_PERIODS : PERIODS;
  await measurePulls(victim, 2 * seconds);
  const quiet: MeasuredPulls[] = [];
  const beside = new Map(receivers.map((server): [BenchServer, MeasuredPulls[]] => [server, []]));
  for (let period = 0; period < periods; period++) {
    bench.settings.stopping.throwIfAborted();
    quiet.push(await measurePulls(victim, seconds));
    for (const [server, measured] of beside) measured.push(await pullDuringPushes(victim, server, seconds));
  }
  for (const [server, measured] of beside)
    bench.record('cached pulls during pushes', server.name, {
      'p99 × quiet': p99Of(measured) / p99Of(quiet),
      'p99 ms': p99Of(measured),
      'quiet p99 ms': p99Of(quiet),
      failures: measured.reduce((total, { failures }) => total + failures, 0),
    });
}

async function pullDuringPushes(
  victim: Victim,
  server: BenchServer,
  seconds: number,
): Promise<MeasuredPulls> {
  const layers = layersOf(BESIDE_PULLS, PUSHERS_BESIDE_PULLS);
  const job = await jobFor(server, { layers, pushers: PUSHERS_BESIDE_PULLS });
  await using client = await preparePush({ ...job, isEndless: true });
  void client.push().catch(() => {});
  return await measurePulls(victim, seconds);
}

/** Measures pages of the list of tags of a repository that has very many. */
async function measureTags(bench: Bench, server: HubgateServer): Promise<void> {
  const tags = bench.settings.quick ? QUICK_TAGS : TAGS;
  const agent = new Agent({ keepAlive: true, maxSockets: TAG_PUSHERS, rejectUnauthorized: false });
  const authorization = (await server.authorization(PUSHED)) ?? '';
  const options = { tls: true, host: 'localhost', port: server.port, agent, headers: { authorization } };
  await pushTags(tags, async (path, send, type) => {
    const headers = { authorization, 'content-type': type };
    const { status, body } = await ask({ ...options, path, method: 'PUT', send, headers });
    if (status !== 201) throw new Error(`${path}: ${status} ${body}`);
  });
  for (let round = 0; round < bench.rounds; round++) {
    const times: number[] = [];
    for (let page = -PAGES_TO_WARM_UP; page < PAGES; page++) {
      const last = tagName(Math.floor(Math.random() * (tags - PAGE)));
      const begun = performance.now();
      const { status, body } = await ask({
        ...options,
        path: `/v2/${PUSHED}/tags/list?n=${PAGE}&last=${last}`,
      });
      const milliseconds = performance.now() - begun;
      const isWhole = status === 200 && JSON.parse(body.toString()).tags.length === PAGE;
      if (!isWhole) throw new Error(`a page of tags is ${status} ${body}`);
      if (page >= 0) times.push(milliseconds);
    }
    times.sort((one, other) => one - other);
    const at = (part: number) => times[Math.floor(times.length * part)] ?? Number.NaN;
    bench.record(`tags/list, ${PAGE} of ${tags.toLocaleString('en')} tags`, server.name, {
      'p50 ms': at(0.5),
      'p99 ms': at(0.99),
    });
  }
  agent.destroy();
}

const tagName = (index: number) => `tag-${String(index).padStart(6, '0')}`;

async function pushTags(
  tags: number,
  put: (path: string, manifest: string, type: string) => Promise<void>,
): Promise<void> {
  const type = 'application/vnd.oci.image.index.v1+json';
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: [] });
  // Only a push by digest sets the tags of the query.
  const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
  let next = 0;
  const pusher = async () => {
    while (next < tags) {
      const first = next;
      next += TAGS_AT_ONCE;
      const names = Array.from({ length: TAGS_AT_ONCE }, (_, index) => tagName(first + index));
      const query = names.map((name) => `tag=${name}`);
      await put(`/v2/${PUSHED}/manifests/${digest}?${query.join('&')}`, manifest, type);
    }
  };
  await Promise.all(Array.from({ length: TAG_PUSHERS }, pusher));
}
