import { rm } from 'node:fs/promises';
import path from 'node:path';
import { openLocalCoreClient } from '../../../src/gateway/clients/local-core-client.ts';
import type { Digest } from '../../../src/registry/digest.ts';
import type { FakeHub } from '../../support/fake-hub.ts';
import { ACCOUNT } from '../../support/test-core.ts';
import { type Catalogue, startHub } from './catalogue.ts';
import { type CoreLaunch, CoreProcess } from './core-process.ts';
import { Disk, mountImage } from './disk.ts';
import { fetchedAgain } from './fetched-again.ts';
import { filesBelow, inspect } from './inspect.ts';
import { Ledger } from './ledger.ts';
import { Load } from './load.ts';
import { anyMoment } from './moment.ts';
import type { MountNamespace } from './mount-namespace.ts';
import { pullEverything } from './pull-everything.ts';
import type { Random } from './random.ts';
import type { Tally } from './tally.ts';

/** In milliseconds. */
const LONGEST_PAUSE = 1_000;

export interface PowerOptions {
  readonly namespace: MountNamespace;
  /** The directory for images, mounts and the socket. */
  readonly directory: string;
  readonly catalogue: Catalogue;
  readonly launch: CoreLaunch;
  readonly random: Random;
  readonly tally: Tally;
  readonly clients: number;
}

/** The state of a disk after a power cut. */
export interface Cut {
  readonly image: string;
  /** The digests that the core had promised before. */
  readonly promised: ReadonlySet<Digest>;
}

/**
 * Runs the core on a new disk under load, and cuts the power `times` times, or until there is nothing left to
 * write.
 */
export async function cutPower(options: PowerOptions, times: number): Promise<Cut[]> {
  const { namespace, directory, catalogue, random, tally } = options;
  await using hub = await startHub(catalogue);
  const disk = await Disk.make(namespace, directory);
  const ledger = new Ledger();
  const cuts: Cut[] = [];
  await runCore(options, hub, path.join(disk.mounted, 'data'), async (core, started) => {
    const loading = started.then(
      () => new Load({ ...options, core, ledger, random: random.fork() }, options.clients),
    );
    // If the core does not start, the failure is reported later, when it had time to start.
    loading.catch(() => {});
    while (cuts.length < times && ledger.promised.size < catalogue.contents.size) {
      // The first cut may come while the core starts.
      await anyMoment(random, ledger, { longest: LONGEST_PAUSE, event: 'promised', often: 0.7 });
      const promised = new Set(ledger.promised);
      const image = path.join(directory, `cut-${cuts.length}.img`);
      await disk.cut(image);
      cuts.push({ image, promised });
      tally.count('power cuts');
    }
    const load = await loading;
    load.stop();
    await load.ended;
  });
  await disk.unmount();
  return cuts;
}

/** Runs `task` on the disk after a cut, when ext4 has replayed its journal, and then removes the disk. */
export async function afterCut(
  { namespace, directory }: PowerOptions,
  { image }: Cut,
  task: (data: string) => Promise<void>,
): Promise<void> {
  const point = path.join(directory, 'after');
  await mountImage(namespace, image, point);
  try {
    await task(path.join(point, 'data'));
  } finally {
    await namespace.run('umount', point);
    await rm(image);
  }
}

/** Counts what was promised and is missing, and what exists and is wrong. */
export async function countDamage(options: PowerOptions, { promised }: Cut, data: string): Promise<void> {
  const { namespace, catalogue, tally } = options;
  const outside = namespace.outside(data);
  const { right, corrupt } = await inspect(outside, catalogue.contents);
  tally.count('files checked after a power cut', right.size);
  tally.count('promises checked after a power cut', promised.size);
  tally.count('files half-done at a power cut', (await filesBelow(path.join(outside, 'partial'))).length);
  tally.count('corrupt', corrupt.length);
  tally.count('lost', [...promised].filter((digest) => !right.has(digest)).length);
}

/** Starts the core on what was left, and checks that it has what it promised, and can fetch the rest. */
export async function serveAgain(options: PowerOptions, { promised }: Cut, data: string): Promise<void> {
  const { catalogue, tally } = options;
  await using hub = await startHub(catalogue);
  const ledger = new Ledger();
  for (const digest of catalogue.contents.keys()) if (!promised.has(digest)) ledger.troubled.add(digest);
  await runCore(options, hub, data, async (core, started) => {
    await started;
    for (const digest of await pullEverything({ ...options, core, ledger }, promised))
      tally.fault(`${digest} was promised and is not served`);
    for (const digest of fetchedAgain(hub.log, promised))
      tally.fault(`${digest} was promised and is fetched once more`);
    for (const digest of await pullEverything({ ...options, core, ledger }))
      tally.fault(`${digest} cannot be pulled any more`);
  });
}

async function runCore(
  { namespace, directory, launch }: PowerOptions,
  hub: FakeHub,
  data: string,
  task: (core: ReturnType<typeof openLocalCoreClient>, started: Promise<void>) => Promise<void>,
): Promise<void> {
  await using process = await CoreProcess.load({ ...launch, within: namespace.entrance });
  const socket = path.join(directory, 'core.sock');
  await using core = openLocalCoreClient({ socket, directory: namespace.outside(data) });
  const started = process.start({ socket, directory: data, hub: hub.url.href, credential: ACCOUNT });
  await task(core, started);
}
