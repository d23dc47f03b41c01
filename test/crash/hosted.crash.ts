import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { run } from '../e2e/support/process.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { type CoreLaunch, CoreProcess, type CoreSettings, compileCore } from './support/core-process.ts';
import { Disk, mountImage, whyNoDisk } from './support/disk.ts';
import { checkHosted } from './support/hosted-check.ts';
import { HostedPusher } from './support/hosted-pusher.ts';
import { anyMoment } from './support/moment.ts';
import { MountNamespace } from './support/mount-namespace.ts';
import { type AllowedValues, PushedState } from './support/pushed-state.ts';
import { chooseSeed, Random } from './support/random.ts';
import { Tally } from './support/tally.ts';

const KILLS = Number(process.env.CRASH_HOSTED_KILLS ?? 40);
const CUTS = Number(process.env.CRASH_HOSTED_CUTS ?? 6);
const CLIENTS = 4;
/** Milliseconds. */
const LONGEST_RUN = 400;
const LONGEST_PAUSE = 1_000;
const DEADLINE = Math.max(300_000, (KILLS + CUTS) * 10_000);

const SLOW_DISK = path.join(import.meta.dirname, 'support/fixtures/slow-disk.ts');
const UNSYNCED = path.join(import.meta.dirname, 'support/fixtures/unsynced.ts');

const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
const impossible = await whyNoDisk(path.join(directory, 'trial'));
/** Where nobody looks, a suite that did not run is as good as none. */
const skip = process.env.CI === undefined && impossible !== undefined && impossible;

let namespace: MountNamespace;
const compiled = path.join(directory, 'compiled');

before(async () => {
  if (impossible === undefined) namespace = await MountNamespace.make();
  await compileCore({ compiled });
});

after(async () => {
  await namespace?.[Symbol.asyncDispose]();
  await waitFor(async () => !(await run('losetup', ['--list'])).output.includes(directory));
  await rm(directory, { recursive: true });
});

/** The state of one run of the suite. */
class Pushing {
  readonly random: Random;
  readonly tally = new Tally();
  readonly state = new PushedState();
  readonly contents = new Map<string, Buffer>();

  constructor(t: TestContext) {
    const seed = chooseSeed();
    t.diagnostic(`CRASH_SEED=${seed}`);
    t.after(() => t.diagnostic(this.tally.summary()));
    this.random = new Random(seed);
  }

  /** Lets clients push while `task` runs, or until it stops them. Failures after that are expected. */
  async during(socket: string, task: (stop: () => void) => Promise<void>): Promise<void> {
    const pushers = Array.from({ length: CLIENTS }, (_, at) => {
      return new HostedPusher({ ...this, socket, repository: `acme/r${at}`, random: this.random.fork() });
    });
    const stop = () => {
      for (const pusher of pushers) pusher.stop();
    };
    try {
      await task(stop);
    } finally {
      stop();
    }
    await Promise.all(pushers.map(({ ended }) => ended));
  }
}

/** Runs `task` with a core on `home`, and kills the core. */
async function withCore(
  home: string,
  launch: CoreLaunch,
  task: (settings: CoreSettings, core: CoreProcess) => Promise<void>,
): Promise<void> {
  await using core = await CoreProcess.load({ compiled, ...launch });
  const settings: CoreSettings = {
    ...{ socket: path.join(directory, 'core.sock'), directory: path.join(home, 'data') },
    ...{ hub: 'http://127.0.0.1:1', credential: ACCOUNT, hosted: path.join(home, 'hosted') },
  };
  await core.start(settings);
  await task(settings, core);
}

test(`${KILLS} kills while clients push and delete: every acknowledged change is there`, {
  timeout: DEADLINE,
}, async (t) => {
  const pushing = new Pushing(t);
  const { random, tally, state } = pushing;
  const home = path.join(directory, 'killed');
  await mkdir(home);
  while (tally.of('kills') < KILLS && tally.faults.length === 0 && !t.signal.aborted) {
    let allowed: AllowedValues = new Map();
    await withCore(home, {}, async ({ socket }, core) => {
      await pushing.during(socket, async (stop) => {
        await anyMoment(random, state, { longest: LONGEST_RUN, event: 'promised', often: 0.5 });
        stop();
        await core.kill();
      });
      // Nobody asks for anything any more, so the last acknowledged value of each thing counts.
      allowed = state.snapshot()();
    });
    tally.count('kills');
    await withCore(home, {}, async ({ socket, hosted = '' }) => {
      state.settle(await checkHosted({ ...pushing, socket, directory: hosted }, allowed));
    });
    assert.equal(tally.of('lost') + tally.of('corrupt'), 0);
  }
  assert.deepEqual(tally.faults, []);
  assert.ok(tally.of('pushes answered') > 0 && tally.of('deletes answered') > 0);
});

/** Cuts the power while clients push, and counts the damage that each cut has done. */
async function cutPower(t: TestContext, name: string, times: number, launch: CoreLaunch): Promise<Tally> {
  assert.equal(impossible, undefined);
  const pushing = new Pushing(t);
  const { random, tally, state } = pushing;
  const images = path.join(directory, name);
  const disk = await Disk.make(namespace, images);
  const cuts: { readonly image: string; readonly allowed: AllowedValues }[] = [];
  const within = { within: namespace.entrance };
  await withCore(disk.mounted, { ...launch, ...within }, async ({ socket }) => {
    await pushing.during(socket, async () => {
      // Without pushes there is nothing to lose.
      await waitFor(() => tally.of('pushes answered') > CLIENTS || tally.faults.length > 0);
      while (cuts.length < times && tally.faults.length === 0) {
        await anyMoment(random, state, { longest: LONGEST_PAUSE, event: 'promised', often: 0.7 });
        const snapshot = state.snapshot();
        const image = path.join(images, `cut-${cuts.length}.img`);
        await disk.cut(image);
        cuts.push({ image, allowed: snapshot() });
        tally.count('power cuts');
      }
    });
  });
  await disk.unmount();
  assert.deepEqual(tally.faults, []);
  for (const { image, allowed } of cuts) {
    const point = path.join(images, 'after');
    await mountImage(namespace, image, point);
    try {
      await withCore(point, within, async ({ socket, hosted = '' }) => {
        await checkHosted({ ...pushing, socket, directory: namespace.outside(hosted) }, allowed);
      });
    } catch (error) {
      tally.count('corrupt');
      tally.fault(`after a power cut: ${(error as Error).message}`);
    }
    await namespace.run('umount', point);
    await rm(image);
  }
  return tally;
}

test(`${CUTS} power cuts while clients push and delete: every acknowledged change is there`, {
  skip,
  timeout: DEADLINE,
}, async (t) => {
  const tally = await cutPower(t, 'synced', CUTS, { imports: [SLOW_DISK] });
  assert.deepEqual(tally.faults, []);
  assert.ok(tally.of('hosted content checked') > 0);
  assert.equal(tally.of('lost') + tally.of('corrupt'), 0);
});

// The directories are not here: the sync of the database, which comes after theirs, makes ext4 write its
// journal.
for (const forgotten of ['uploads', 'database'])
  test(`the suite sees what is lost where the core does not sync the ${forgotten} of hosted repositories`, {
    skip,
    timeout: DEADLINE,
  }, async (t) => {
    const launch = { imports: [UNSYNCED], environment: { UNSYNCED: forgotten } };
    const tally = await cutPower(t, `unsynced-${forgotten}`, CUTS, launch);
    assert.ok(tally.of('lost') + tally.of('corrupt') > 0);
  });
