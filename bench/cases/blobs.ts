import type { Bench, CaseGroup } from '../bench.ts';
import { type BenchImage, blobPath, KIB, MIB, manifestPath } from '../content.ts';
import { readSealed } from '../load/sealed.ts';
import type { Target } from '../load/sealed-reader.ts';
import { fetchVerified } from '../load/verified.ts';
import type { BenchServer } from '../servers/server.ts';
import { writeSize } from './sizes.ts';

const SIZES = [256 * MIB, 5 * MIB, 100 * KIB];
const CLIENTS = [1, 8, 64, 256];
const QUICK_CLIENTS = [8];
const PATIENCE = 60;
const WARM_UP_CLIENTS = 8;

/** Measures cached blobs of three sizes, with few and with many clients. */
export const BLOBS: CaseGroup = {
  name: 'blobs',
  title: 'Cached blobs',
  rounds: { full: 3, quick: 2 },
  async run(bench) {
    await using stack = new AsyncDisposableStack();
    const images = [
      await bench.image(
        'sizes',
        SIZES.map((size) => ({ size, index: 0 })),
      ),
    ];
    const servers = await bench.startAll(images, stack);
    for (const [index, size] of SIZES.entries()) {
      const targets = new Map<BenchServer, Target>();
      for (const server of servers)
        targets.set(server, await checkLayer(server, images[0] as BenchImage, index));
      // For larger blobs the bytes determine the cost, and not the requests.
      if (size < MIB)
        await bench.warmUp(servers, (server, seconds) =>
          read(server, targets.get(server) as Target, WARM_UP_CLIENTS, seconds),
        );
      for (const clients of bench.settings.quick ? QUICK_CLIENTS : CLIENTS) {
        await bench.interleave(servers, (server) =>
          measure(bench, server, targets.get(server) as Target, `${writeSize(size)} × ${clients}`, clients),
        );
      }
    }
  },
};

/** Fetches the manifest too, because it makes the layer known in the repository. */
export async function checkLayer(
  server: BenchServer,
  { tag, image }: BenchImage,
  index: number,
): Promise<Target> {
  await fetchVerified(server, { path: manifestPath(tag), digest: image.digest, size: image.bytes.length });
  const digest = image.layers[index];
  if (digest === undefined) throw new Error(`${tag} has no layer ${index}`);
  return fetchVerified(server, {
    path: blobPath(digest),
    digest,
    size: image.blobs.get(digest)?.length ?? 0,
  });
}

async function read({ port, authorization }: BenchServer, target: Target, clients: number, seconds: number) {
  const credential = await authorization();
  const fresh = { ...target, ...(credential !== undefined && { authorization: credential }) };
  return readSealed({ port, lists: [[fresh]], connections: clients, seconds, patience: PATIENCE });
}

async function measure(bench: Bench, server: BenchServer, target: Target, what: string, clients: number) {
  const [result, cost] = await bench.cost(server, () =>
    read(server, target, clients, bench.settings.seconds),
  );
  const gigabytes = result.bytes / 1e9;
  bench.record(`blob ${what}`, server.name, {
    'MB/s': result.bytes / 1e6 / result.seconds,
    'CPU s/GB': cost.cpuSeconds / gigabytes,
    'client CPU s/GB': result.cpuSeconds / gigabytes,
    'client busy %': (100 * result.cpuSeconds) / result.seconds,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors.length,
  });
}
