import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { run } from '../e2e/support/process.ts';
import { waitFor } from '../support/wait-for.ts';
import { makeCatalogue } from './support/catalogue.ts';
import { whyNoDisk } from './support/disk.ts';
import { MountNamespace } from './support/mount-namespace.ts';
import { afterCut, countDamage, cutPower, type PowerOptions, serveAgain } from './support/power-cut.ts';
import { chooseSeed, Random } from './support/random.ts';
import { Tally } from './support/tally.ts';

const CUTS = Number(process.env.CRASH_CUTS ?? 24);
const MOST_DISKS = 5;
const CUTS_OF_A_DISK = 6;
const CATALOGUE_BYTES = 32 * 1024 * 1024;
/** Milliseconds. */
const DEADLINE = Math.max(300_000, CUTS * 15_000);

const SLOW_DISK = path.join(import.meta.dirname, 'support/fixtures/slow-disk.ts');
/**
 * One client leaves a disk calm: no other's sync makes safe what was forgotten. Many come in between each
 * other.
 */
const DISKS = [1, 6].flatMap((clients) => {
  return [[], [SLOW_DISK]].map((imports) => ({ clients, launch: { imports } }));
});
const UNSYNCED = path.join(import.meta.dirname, 'support/fixtures/unsynced.ts');

const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-power-'));
const impossible = await whyNoDisk(path.join(directory, 'trial'));
/** Where nobody looks, a suite that did not run is as good as none. */
const skip = process.env.CI === undefined && impossible !== undefined && impossible;

let namespace: MountNamespace;

before(async () => {
  if (impossible === undefined) namespace = await MountNamespace.make();
});

after(async () => {
  await namespace?.[Symbol.asyncDispose]();
  await waitFor(async () => !(await run('losetup', ['--list'])).output.includes(directory));
  await rm(directory, { recursive: true });
});

async function prepare(t: TestContext, name: string): Promise<PowerOptions> {
  assert.equal(impossible, undefined);
  const seed = chooseSeed();
  t.diagnostic(`CRASH_SEED=${seed}`);
  const random = new Random(seed);
  await mkdir(path.join(directory, name));
  const tally = new Tally();
  t.after(() => t.diagnostic(tally.summary()));
  return {
    namespace,
    directory: path.join(directory, name),
    catalogue: makeCatalogue(random, CATALOGUE_BYTES),
    launch: {},
    clients: 1,
    random,
    tally,
  };
}

test(`invariant 10: ${CUTS} power cuts under load: what was published is there, is right and is served`, {
  skip,
  timeout: DEADLINE,
}, async (t) => {
  const options = await prepare(t, 'synced');
  const { tally } = options;
  let disks = 0;
  while (tally.of('power cuts') < CUTS && tally.faults.length === 0 && !t.signal.aborted) {
    const kind = DISKS[disks++ % DISKS.length];
    const cuts = await cutPower({ ...options, ...kind }, CUTS_OF_A_DISK);
    for (const cut of cuts) {
      await afterCut(options, cut, async (data) => {
        await countDamage(options, cut, data);
        await serveAgain(options, cut, data);
      });
    }
  }
  assert.deepEqual(tally.faults, []);
  assert.equal(tally.of('lost') + tally.of('corrupt'), 0);
  assert.ok(tally.of('promises checked after a power cut') > 0);
});

for (const forgotten of ['everything', 'files', 'directories']) {
  test(`the suite sees what is lost where the core does not sync ${forgotten}`, {
    skip,
    timeout: DEADLINE,
  }, async (t) => {
    const options = await prepare(t, forgotten);
    const launch = { imports: [UNSYNCED, SLOW_DISK], environment: { UNSYNCED: forgotten } };
    const damage = () => options.tally.of('lost') + options.tally.of('corrupt');
    // On a busy machine, the cuts of one disk may all come before anything is published.
    for (let disk = 0; damage() === 0 && disk < MOST_DISKS; disk++) {
      const cuts = await cutPower({ ...options, launch }, CUTS_OF_A_DISK);
      for (const cut of cuts) await afterCut(options, cut, (data) => countDamage(options, cut, data));
    }
    assert.ok(damage() > 0);
  });
}
