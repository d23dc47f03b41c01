import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { makeCatalogue } from './support/catalogue.ts';
import { compileCore } from './support/core-process.ts';
import { Life, type LifeOptions } from './support/life.ts';
import { chooseSeed, Random } from './support/random.ts';
import { Tally } from './support/tally.ts';

const KILLS = Number(process.env.CRASH_KILLS ?? 300);
/** Milliseconds. */
const DEADLINE = Math.max(300_000, KILLS * 1_000);
/** Caches at a time: a core that is starting leaves time to the other. */
const LIVES = 2;
const CATALOGUE_BYTES = 48 * 1024 * 1024;

test(`invariants 8 and 10: ${KILLS} kills under load: no wrong byte is served, nothing published is lost`, {
  timeout: DEADLINE,
}, async (t) => {
  const seed = chooseSeed();
  t.diagnostic(`CRASH_SEED=${seed}`);
  const tally = new Tally();
  t.after(() => t.diagnostic(tally.summary()));
  const compiled = await mkdtemp(path.join(tmpdir(), 'hubgate-compiled-'));
  t.after(() => rm(compiled, { recursive: true }));
  await compileCore({ compiled });
  const random = new Random(seed);
  const options: LifeOptions = {
    catalogue: makeCatalogue(random, CATALOGUE_BYTES),
    launch: { compiled },
    random,
    tally,
    over: () => t.signal.aborted || tally.faults.length > 0 || tally.of('kills') >= KILLS,
  };
  await Promise.all(Array.from({ length: LIVES }, () => liveOn({ ...options, random: random.fork() })));
  assert.deepEqual(tally.faults, []);
  assert.ok(tally.of('kills') >= KILLS);
  assert.ok(tally.of('files published') > 0);
});

async function liveOn(options: LifeOptions): Promise<void> {
  const { tally, random, over } = options;
  try {
    while (!over()) {
      await using life = await Life.begin({ ...options, random: random.fork() });
      await life.run();
    }
  } catch (error) {
    // Not thrown at once: the other lives come to their ends first.
    tally.fault(String((error as Error).stack));
  }
}
