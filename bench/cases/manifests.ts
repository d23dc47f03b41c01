import type { Bench, CaseGroup } from '../bench.ts';
import { ACCEPT, type BenchImage, KIB, MIB, manifestPath } from '../content.ts';
import { runNewConnections } from '../load/new-connections.ts';
import type { Target } from '../load/sealed-reader.ts';
import { fetchVerified } from '../load/verified.ts';
import { runWrk } from '../load/wrk.ts';
import type { BenchServer } from '../servers/server.ts';

/** This number of layers makes a manifest of about 2 KB. */
const LAYERS = 10;
const CONNECTIONS = [1, 32, 128];
const QUICK_CONNECTIONS = [32];
/** The number of clients that open one connection after the other. */
const NEW = [1, 32, 128];
const QUICK_NEW = [32];
const WARM_UP_CONNECTIONS = 32;

/** Measures manifests by digest and by a fresh tag, over open connections and over new ones. */
export const MANIFESTS: CaseGroup = {
  name: 'manifests',
  title: 'Cached manifests',
  rounds: { full: 3, quick: 2 },
  programs: ['wrk', 'openssl'],
  async run(bench) {
    await using stack = new AsyncDisposableStack();
    const layers = Array.from({ length: LAYERS }, (_, index) => ({ size: KIB, index }));
    const image = await bench.image('latest', layers);
    const servers = await bench.startAll([image], stack);
    for (const kind of bench.settings.quick ? (['digest'] as const) : (['digest', 'tag'] as const)) {
      const targets = await checkManifest(servers, image, kind === 'tag' ? image.tag : image.image.digest);
      await bench.warmUp(targets, ([server, target], seconds) =>
        askKept(bench, server, target, WARM_UP_CONNECTIONS, seconds),
      );
      for (const connections of bench.settings.quick ? QUICK_CONNECTIONS : CONNECTIONS) {
        await bench.interleave(targets, ([server, target]) =>
          kept(bench, server, target, `manifest by ${kind} × ${connections}`, connections),
        );
      }
      await bench.warmUp(targets, ([server, target], seconds) =>
        askAnew(server, target, WARM_UP_CONNECTIONS, seconds),
      );
      for (const clients of bench.settings.quick ? QUICK_NEW : NEW) {
        await bench.interleave(targets, ([server, target]) =>
          anew(bench, server, target, `manifest by ${kind}, new connections × ${clients}`, clients),
        );
      }
    }
  },
};

async function checkManifest(
  servers: readonly BenchServer[],
  { image }: BenchImage,
  reference: string,
): Promise<[BenchServer, Target][]> {
  const targets: [BenchServer, Target][] = [];
  for (const server of servers) {
    const expected = { path: manifestPath(reference), digest: image.digest, size: image.bytes.length };
    targets.push([server, await fetchVerified(server, expected)]);
  }
  return targets;
}

async function askKept(
  { directory }: Bench,
  server: BenchServer,
  { path }: Target,
  connections: number,
  seconds: number,
) {
  const authorization = await server.authorization();
  const headers = { accept: ACCEPT, ...(authorization !== undefined && { authorization }) };
  return runWrk({ port: server.port, paths: [path], headers, connections, seconds, directory });
}

async function kept(bench: Bench, server: BenchServer, target: Target, what: string, connections: number) {
  const { seconds } = bench.settings;
  const [result, cost] = await bench.cost(server, () => askKept(bench, server, target, connections, seconds));
  bench.record(what, server.name, {
    'requests/s': result.requests / result.seconds,
    'p50 ms': result.p50 * 1000,
    'p99 ms': result.p99 * 1000,
    'CPU s/1000': (1000 * cost.cpuSeconds) / result.requests,
    'client busy %': (100 * result.cpuSeconds) / result.seconds,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors,
  });
}

async function askAnew(server: BenchServer, target: Target, clients: number, seconds: number) {
  const authorization = await server.authorization();
  const fresh = { ...target, ...(authorization !== undefined && { authorization }) };
  return runNewConnections(server.port, fresh, clients, Math.ceil(seconds));
}

async function anew(bench: Bench, server: BenchServer, target: Target, what: string, clients: number) {
  const [result, cost] = await bench.cost(server, () =>
    askAnew(server, target, clients, bench.settings.seconds),
  );
  bench.record(what, server.name, {
    'requests/s': result.requests / result.seconds,
    'CPU s/1000': (1000 * cost.cpuSeconds) / result.requests,
    'client CPU s/1000': (1000 * result.cpuSeconds) / result.requests,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors,
  });
}
