import { mustRun } from '../../test/e2e/support/process.ts';
import { ask } from '../../test/support/http.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { type BenchImage, blobPath, KIB, MIB, manifestPath, REPOSITORY } from '../content.ts';
import { readSealed } from '../load/sealed.ts';
import type { Target } from '../load/sealed-reader.ts';
import { fetchVerified } from '../load/verified.ts';
import { median } from '../results.ts';
import { HUBGATE } from '../servers/hubgate.ts';
import type { BenchServer, ServerKind } from '../servers/server.ts';

const LARGE = 256 * MIB;
const SMALL = 16 * MIB;
const CLIENTS = [1, 16];
const QUICK_CLIENTS = [4];
const CROWD = 200;
const PULLERS = 50;
const IMAGE_LAYERS = 10;
const UPSTREAM_RATE = 200e6;
/** In seconds. In a throttled crowd, the last clients may wait long for their first bytes. */
const PATIENCE = 60;

/**
 * Measures pulls of content that nobody has cached yet. Each measurement has a server of its own, with an
 * empty cache.
 */
export const COLD: CaseGroup = {
  name: 'cold',
  title: 'Cold pulls',
  rounds: { full: 3, quick: 1 },
  programs: ['curl'],
  async run(bench) {
    const { quick } = bench.settings;
    const mirrors = bench.settings.kinds.filter((kind) => kind.mirrors);
    const large = await bench.image('large', [{ size: LARGE, index: 0 }]);
    const small = await bench.image('small', [{ size: SMALL, index: 0 }]);
    // A quick run has only the rate that shows most: without a limit, the CPUs are the bottleneck.
    for (const rate of quick ? [UPSTREAM_RATE] : [null, UPSTREAM_RATE]) {
      await bench.upstream.setRate(rate);
      const named = rate === null ? '' : ', upstream at 200 MB/s';
      await bench.interleave(['upstream'], () => direct(bench, large, named));
      for (const clients of quick ? QUICK_CLIENTS : CLIENTS) {
        const what = `cold 256 MiB × ${clients}${named}`;
        await bench.interleave(mirrors, (kind) => blob(bench, kind, large, what, clients));
      }
    }
    await bench.upstream.setRate(null);
    const crowd = `cold 16 MiB × ${CROWD}`;
    if (quick) return;
    await bench.interleave(mirrors, (kind) => blob(bench, kind, small, crowd, CROWD));
    const image = await bench.image('image', imageLayers());
    await bench.interleave(mirrors, (kind) => wholeImage(bench, kind, image));
  },
};

function imageLayers() {
  return Array.from({ length: IMAGE_LAYERS }, (_, index) => ({
    size: (index % 5) * 4 * MIB + 64 * KIB,
    index,
  }));
}

/** Measures how long the upstream itself takes, by plain HTTP, including its redirect. */
async function direct(bench: Bench, image: BenchImage, named: string): Promise<void> {
  const { tokenUrl, url } = bench.upstream;
  const scope = `repository:${REPOSITORY}:pull`;
  const { hostname: host, port } = tokenUrl;
  const { body } = await ask({ host, port, path: `/token?scope=${scope}` });
  const authorization = `Authorization: Bearer ${JSON.parse(body.toString()).token}`;
  const from = new URL(blobPath(image.image.layers[0] as never), url).href;
  const write = '%{http_code} %{size_download} %{time_total}';
  const said = await mustRun('curl', ['-sL', '-o', '/dev/null', '-w', write, '-H', authorization, from]);
  const [status, size, seconds] = said.split(' ').map(Number);
  if (status !== 200 || size !== LARGE) throw new Error(`the upstream itself: ${said}`);
  bench.record(`cold 256 MiB from the upstream itself${named}`, HUBGATE.name, { seconds: seconds ?? 0 });
}

async function blob(bench: Bench, kind: ServerKind, image: BenchImage, what: string, clients: number) {
  await using server = await startCold(bench, kind);
  const target = coldTarget(image, 0);
  await pull(bench, server, what, clients, [target], target.length);
  const digest = image.image.layers[0] ?? '';
  const { path, length: size } = target;
  // The cached content is now the same as that of the upstream.
  const cached = await fetchVerified(server, { path, digest, size });
  if (clients === CROWD && kind === HUBGATE) await sameBytes(bench, server, cached, clients);
}

/**
 * The header's length is unknown before, and a probe would fill the cache. The last record is the same in any
 * case.
 */
function coldTarget({ image }: BenchImage, index: number): Target {
  const digest = image.layers[index];
  if (digest === undefined) throw new Error(`there is no layer ${index}`);
  return { path: blobPath(digest), length: image.blobs.get(digest)?.length ?? 0, header: 0 };
}

async function startCold(bench: Bench, kind: ServerKind): Promise<BenchServer> {
  const stack = new AsyncDisposableStack();
  try {
    const server = await bench.startOne(kind, undefined, stack);
    return { ...server, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function pull(
  bench: Bench,
  server: BenchServer,
  what: string,
  clients: number,
  targets: readonly Target[],
  size: number,
): Promise<void> {
  const list = await withAuthorization(server, targets);
  await bench.upstream.takeTraffic();
  const { port } = server;
  const job = { port, lists: [list], connections: clients, patience: PATIENCE };
  const [result, cost] = await bench.cost(server, () => readSealed(job));
  const traffic = await bench.upstream.takeTraffic();
  bench.record(what, server.name, {
    seconds: result.seconds,
    'first byte ms': 1000 * median(result.firstBytes),
    'upstream ×': traffic.blobBytes / size,
    'upstream GETs': traffic.blobRequests,
    'CPU s': cost.cpuSeconds,
    'client CPU s': result.cpuSeconds,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors.length,
  });
}

async function withAuthorization(server: BenchServer, targets: readonly Target[]): Promise<Target[]> {
  const authorization = await server.authorization();
  return targets.map((target) => ({ ...target, ...(authorization !== undefined && { authorization }) }));
}

/** Sends the bytes of the whole crowd to one client from the cache, which shows the cost of TLS alone. */
async function sameBytes(bench: Bench, server: BenchServer, target: Target, times: number): Promise<void> {
  const list = Array.from({ length: times }, () => target);
  const job = { port: server.port, lists: [list], connections: 1, patience: PATIENCE };
  const [result, cost] = await bench.cost(server, () => readSealed(job));
  bench.record('the same bytes, cached, to one client', server.name, {
    seconds: result.seconds,
    'CPU s': cost.cpuSeconds,
    errors: result.errors.length,
  });
}

/**
 * Makes each client ask for the manifest and then for one layer after the other; then for all again, from the
 * cache.
 */
async function wholeImage(bench: Bench, kind: ServerKind, { tag, image }: BenchImage): Promise<void> {
  await using server = await startCold(bench, kind);
  const layers = image.layers.map((digest) => {
    return { path: blobPath(digest), length: image.blobs.get(digest)?.length ?? 0, header: 0 };
  });
  const targets = [{ path: manifestPath(tag), length: image.bytes.length, header: 0 }, ...layers];
  const size = layers.reduce((total, { length }) => total + length, 0);
  for (const state of ['cold', 'cached'])
    await pull(
      bench,
      server,
      `image of ${IMAGE_LAYERS} layers × ${PULLERS}, ${state}`,
      PULLERS,
      targets,
      size,
    );
}
