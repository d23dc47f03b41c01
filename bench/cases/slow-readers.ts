import type { Bench, CaseGroup } from '../bench.ts';
import { type BenchImage, blobPath, KIB, MIB, manifestPath } from '../content.ts';
import { readSealed } from '../load/sealed.ts';
import type { Target } from '../load/sealed-reader.ts';
import { fetchVerified } from '../load/verified.ts';
import { totalMemory } from '../process-tree.ts';
import type { BenchServer } from '../servers/server.ts';

const READERS = 300;
const QUICK_READERS = 40;
/** More than the kernel's buffers accept in advance. */
const SIZE = 8 * MIB;
/** In bytes per second for each. */
const RATE = 64 * KIB;
const SECONDS = 15;
const QUICK_SECONDS = 4;
const PATIENCE = 60;

/** Measures how much memory a server needs for each of many clients on slow lines. */
export const SLOW_READERS: CaseGroup = {
  name: 'slow-readers',
  title: 'Slow readers',
  // There is one round, because the garbage of an earlier one would be in the memory of the next.
  rounds: { full: 1, quick: 1 },
  async run(bench) {
    await using stack = new AsyncDisposableStack();
    const readers = bench.settings.quick ? QUICK_READERS : READERS;
    const layers = Array.from({ length: readers }, (_, index) => ({ size: SIZE, index }));
    const image = await bench.image('slow', layers);
    const servers = await bench.startAll([image], stack);
    for (const server of servers) {
      const targets = await checkAll(server, image);
      // The state after the first client is not idle, so it cannot be the base for the second.
      const idle = totalMemory(server.pid);
      const first = targets.slice(0, 1);
      await read(bench, server, `${readers} slow readers of one blob`, first, readers, idle);
      await read(bench, server, `${readers} slow readers of ${readers} blobs`, targets, readers, idle);
    }
  },
};

async function checkAll(server: BenchServer, { tag, image }: BenchImage): Promise<Target[]> {
  await fetchVerified(server, { path: manifestPath(tag), digest: image.digest, size: image.bytes.length });
  const targets: Target[] = [];
  for (const digest of image.layers)
    targets.push(await fetchVerified(server, { path: blobPath(digest), digest, size: SIZE }));
  return targets;
}

async function read(
  bench: Bench,
  server: BenchServer,
  what: string,
  targets: Target[],
  readers: number,
  idle: number,
) {
  const { quick } = bench.settings;
  const authorization = await server.authorization();
  const lists = targets.map((target) => [
    { ...target, ...(authorization !== undefined && { authorization }) },
  ]);
  const seconds = quick ? QUICK_SECONDS : SECONDS;
  const job = { port: server.port, lists, connections: readers, seconds, rate: RATE, patience: PATIENCE };
  const [result, cost] = await bench.cost(server, () => readSealed(job));
  bench.record(what, server.name, {
    'MiB above idle': (cost.peakMemory - idle) / MIB,
    'idle MiB': idle / MIB,
    'CPU s': cost.cpuSeconds,
    'KiB/s of each': result.bytes / KIB / result.seconds / readers,
    errors: result.errors.length,
  });
}
