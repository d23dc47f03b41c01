import { waitFor } from '../../../test/support/wait-for.ts';
import type { Bench } from '../../bench.ts';
import { type BenchImage, blobPath, MIB, manifestPath } from '../../content.ts';
import { readSealed } from '../../load/sealed.ts';
import { fetchVerified } from '../../load/verified.ts';
import type { ClusterServices } from '../../servers/cluster-services.ts';
import { type HubgateServer, startBenchHubgate } from '../../servers/hubgate.ts';

const SIZE = 64 * MIB;
const PATIENCE = 60;
/** The statements that a pull causes, and no beat of a node. */
const OF_CONTENT = /hubgate\.(?:link|repository|tag|manifest|document|object|removed_object|copy|download)\b/;

/**
 * Measures one client of a layer that its node gets from the object store, beside one that a Hubgate which
 * works alone gets from an upstream on the same machine, and beside one whose layer is on the disk of the
 * node. A layer is pulled once from each.
 */
export async function measureFills(bench: Bench, services: ClusterServices): Promise<void> {
  // The first layer warms up the paths, and is not measured.
  const layers = Array.from({ length: bench.rounds + 1 }, (_, index) => ({ size: SIZE, index }));
  const image = await bench.image('fills', layers);
  let leading: ReadonlyMap<string, number>;
  {
    await using first = await node(bench, services, 'first');
    await pullManifest(first, image);
    services.takeStatements();
    await pullBlobs(first, image);
    await waitFor(() => services.objects() >= image.image.blobs.size);
    leading = services.takeStatements();
  }
  await using second = await node(bench, services, 'second');
  await using alone = await startBenchHubgate(await bench.options([]));
  for (const server of [second, alone]) await pullManifest(server, image);
  services.takeStatements();
  const { upstream } = bench;
  for (const [index, digest] of image.image.layers.entries()) {
    bench.settings.stopping.throwIfAborted();
    const path = blobPath(digest);
    await upstream.takeTraffic();
    const fromStore = await secondsOf(second, path);
    const { blobRequests } = await upstream.takeTraffic();
    if (blobRequests > 0) throw new Error('the layer came from the upstream, and not from the object store');
    const fromUpstream = await secondsOf(alone, path);
    const fromDisk = await secondsOf(second, path);
    // What came from the store is the content that the digest names.
    await fetchVerified(second, { path, digest, size: SIZE });
    if (index === 0) continue;
    bench.record('fill 64 MiB from S3', 'hubgate', { seconds: fromStore });
    bench.record('fill 64 MiB from a local upstream', 'hubgate', { seconds: fromUpstream });
    bench.record('64 MiB from the disk', 'hubgate', { seconds: fromDisk });
  }
  const perBlob = (counted: ReadonlyMap<string, number>, blobs: number) =>
    [...counted].reduce((sum, [sql, calls]) => sum + (OF_CONTENT.test(sql) ? calls : 0), 0) / blobs;
  bench.record('statements for one blob', 'hubgate', {
    'first node': perBlob(leading, image.image.blobs.size),
    'from S3': perBlob(services.takeStatements(), layers.length),
  });
}

async function node(bench: Bench, services: ClusterServices, name: string): Promise<HubgateServer> {
  const sections = await services.section(name);
  return startBenchHubgate({ ...(await bench.options([])), sections });
}

async function pullManifest(server: HubgateServer, { image }: BenchImage): Promise<void> {
  await fetchVerified(server, {
    path: manifestPath(image.digest),
    digest: image.digest,
    size: image.bytes.length,
  });
}

async function pullBlobs(server: HubgateServer, image: BenchImage): Promise<void> {
  for (const [digest, bytes] of image.image.blobs)
    await fetchVerified(server, { path: blobPath(digest), digest, size: bytes.length });
}

async function secondsOf(server: HubgateServer, path: string): Promise<number> {
  const target = { path, length: SIZE, header: 0, authorization: (await server.authorization()) ?? '' };
  const job = { port: server.port, lists: [[target]], connections: 1, patience: PATIENCE };
  const { seconds, errors } = await readSealed(job);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]}`);
  return seconds;
}
