import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../../test/support/wait-for.ts';
import type { Bench } from '../../bench.ts';
import { ACCEPT, type BenchImage, blobPath, KIB, manifestPath } from '../../content.ts';
import { fetchVerified } from '../../load/verified.ts';
import { runWrk, type WrkResult } from '../../load/wrk.ts';
import { type ClusterServices, objectRequests } from '../../servers/cluster-services.ts';
import { type HubgateServer, startBenchHubgate } from '../../servers/hubgate.ts';

const CONNECTIONS = 16;
/** More than a gateway remembers. By turns, each request asks the core, which asks its index. */
const BLOBS = 500;
const BLOB = 4 * KIB;
const PULLERS = 8;

type Paths = readonly [string, ...string[]];

/**
 * Measures hits on a node and on a Hubgate that works alone. Both are loaded at the same time, so that they
 * have the same share of a machine that others use. What the node asks the database and the object store
 * meanwhile is counted, without what it asks of its own accord.
 */
export async function measureHits(bench: Bench, services: ClusterServices): Promise<void> {
  const layers = Array.from({ length: BLOBS }, (_, index) => ({ size: BLOB, index }));
  const image = await bench.image('hits', layers);
  const before = services.objects();
  await using alone = await startBenchHubgate(await bench.options([]));
  const sections = await services.section('hits');
  await using node = await startBenchHubgate({ ...(await bench.options([])), sections });
  const servers = [alone, node] as const;
  for (const server of servers) await pull(server, image);
  // Nothing waits to be put into the store. The gateways remember the same.
  await waitFor(() => services.objects() >= before + image.image.blobs.size);
  const [first = '', ...others] = image.image.layers.map(blobPath);
  const paths = { manifest: [manifestPath(image.image.digest)], blob: [first, ...others] } as const;
  for (const what of ['manifest', 'blob'] as const) {
    await bench.warmUp(servers, (server, seconds) => load(server, paths[what], seconds));
    for (let round = 0; round < bench.rounds; round++) await compare(bench, servers, what, paths[what]);
    await count(bench, services, node, what, paths[what]);
  }
}

async function pull(running: HubgateServer, { image }: BenchImage): Promise<void> {
  const authorization = await running.authorization();
  const server = { ...running, authorization: async () => authorization };
  const manifest = { path: manifestPath(image.digest), digest: image.digest, size: image.bytes.length };
  await fetchVerified(server, manifest);
  const wanted = [...image.blobs];
  const puller = async () => {
    for (let next = wanted.pop(); next !== undefined; next = wanted.pop())
      await fetchVerified(server, { path: blobPath(next[0]), digest: next[0], size: next[1].length });
  };
  await Promise.all(Array.from({ length: PULLERS }, puller));
}

async function compare(
  bench: Bench,
  [alone, node]: readonly [HubgateServer, HubgateServer],
  what: string,
  paths: Paths,
): Promise<void> {
  const turn = async (server: HubgateServer) => {
    const [result, { cpuSeconds }] = await bench.cost(server, () =>
      load(server, paths, bench.settings.seconds),
    );
    return {
      'CPU s/1000': (1000 * cpuSeconds) / result.requests,
      'requests/s': result.requests / result.seconds,
      errors: result.errors,
    };
  };
  const [embedded, clustered] = await Promise.all([turn(alone), turn(node)]);
  bench.record(`cached ${what}, embedded`, 'hubgate', embedded);
  bench.record(`cached ${what} on a node`, 'hubgate', clustered);
  bench.record(`cached ${what}, node to embedded`, 'hubgate', {
    'CPU ratio': clustered['CPU s/1000'] / embedded['CPU s/1000'],
  });
}

/** Counts the statements that a load causes, and those that a node sends without any load. */
async function count(
  bench: Bench,
  services: ClusterServices,
  node: HubgateServer,
  what: string,
  paths: Paths,
): Promise<void> {
  const seconds = 2 * bench.settings.seconds;
  // A login asks the database. A client logs in once for many requests.
  const authorization = await node.authorization();
  services.takeStatements();
  await delay(seconds * 1000);
  const idle = services.takeStatements();
  const before = await objectRequests(node);
  const { requests } = await load(node, paths, seconds, authorization);
  const loaded = services.takeStatements();
  const total = (counted: ReadonlyMap<string, number>) =>
    [...counted.values()].reduce((sum, calls) => sum + calls, 0);
  const caused = [...loaded].filter(([sql]) => !idle.has(sql));
  for (const [sql, calls] of caused) process.stdout.write(`  ${calls} × ${sql}\n`);
  bench.record(`cached ${what} on a node`, 'hubgate', {
    // A node asks some things each minute, which it may not have done while it was idle.
    'statements per hit': caused.reduce((sum, [, calls]) => sum + calls, 0) / requests,
    'S3 requests per hit': ((await objectRequests(node)) - before) / requests,
    'counted requests': requests,
    'idle statements/s': total(idle) / seconds,
    'statements/s': total(loaded) / seconds,
  });
}

async function load(
  server: HubgateServer,
  paths: Paths,
  seconds: number,
  authorization?: string,
): Promise<WrkResult> {
  const headers = { accept: ACCEPT, authorization: authorization ?? (await server.authorization()) ?? '' };
  const { port, home: directory } = server;
  return runWrk({ port, paths, headers, connections: CONNECTIONS, seconds, directory });
}
