import path from 'node:path';
import { blobFile } from '../../src/core/store/layout.ts';
import type { Digest } from '../../src/registry/digest.ts';
import { mustRun } from '../../test/e2e/support/process.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { type BenchImage, fileOf, MIB } from '../content.ts';
import { readSealed } from '../load/sealed.ts';
import type { Target } from '../load/sealed-reader.ts';
import { readFromDisk } from '../process-tree.ts';
import type { HubgateServer } from '../servers/hubgate.ts';
import type { BenchServer } from '../servers/server.ts';
import { checkLayer } from './blobs.ts';

const BLOBS = 4;
const SIZE = 256 * MIB;
const CLIENTS = 8;
const PATIENCE = 120;

/** Measures cached blobs that are no longer in memory: the disk is read, and nothing else may wait for it. */
export const DISK: CaseGroup = {
  name: 'disk',
  title: 'Cached blobs, read from disk',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    // The time is that of the disk, and a small run would show nothing.
    if (bench.settings.quick) return;
    await using stack = new AsyncDisposableStack();
    const layers = Array.from({ length: BLOBS }, (_, index) => ({ size: SIZE, index }));
    const image = await bench.image('disk', layers);
    const servers = await bench.startAll([image], stack);
    const targets = new Map<BenchServer, Target[]>();
    for (const server of servers) {
      const checked: Target[] = [];
      for (const index of layers.keys()) checked.push(await checkLayer(server, image, index));
      targets.set(server, checked);
    }
    await bench.interleave(servers, (server) => measure(bench, server, image, targets.get(server) ?? []));
  },
};

async function measure(bench: Bench, server: BenchServer, image: BenchImage, targets: readonly Target[]) {
  for (const digest of image.image.layers) await forget(fileFor(bench, server, digest));
  const authorization = await server.authorization();
  const lists = targets.map((target) => [
    { ...target, ...(authorization !== undefined && { authorization }) },
  ]);
  const job = { port: server.port, lists, connections: CLIENTS, patience: PATIENCE };
  const before = readFromDisk(server.pid);
  const [result, cost] = await bench.cost(server, () => readSealed(job));
  const disk = readFromDisk(server.pid) - before;
  const gigabytes = result.bytes / 1e9;
  bench.record('blobs 256 MiB × 8, from disk', server.name, {
    'MB/s': result.bytes / 1e6 / result.seconds,
    'CPU s/GB': cost.cpuSeconds / gigabytes,
    // Two clients fetch each blob, so half of the sent bytes come from the disk if each byte is read once.
    'disk GB': disk / 1e9,
    'sent GB': gigabytes,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors.length,
  });
}

/** Returns the file of a digest. Hubgate has fetched its own; the other servers link to that of the bench. */
function fileFor(bench: Bench, server: BenchServer, digest: Digest): string {
  if ('home' in server) return path.join((server as HubgateServer).home, 'data', blobFile(digest));
  return fileOf(path.join(bench.directory, 'content'), digest);
}

/**
 * Removes a file from the page cache: coreutils' dd asks the kernel to (posix_fadvise(2),
 * POSIX_FADV_DONTNEED).
 */
async function forget(file: string): Promise<void> {
  await mustRun('sync', [file]);
  await mustRun('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
}
