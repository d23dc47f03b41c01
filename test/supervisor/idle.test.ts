import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RunningMirror, sleepsOf } from '../support/running-mirror.ts';

/** A timer of 20 ms in one process is 50 more. */
const WAKEUPS_A_SECOND = 20;
const SECONDS = 4;

test('an idle mirror is hardly ever woken', {
  skip: process.platform !== 'linux' && 'there is no /proc',
}, async () => {
  await using mirror = await RunningMirror.start({ workers: 2 });
  const pids = [mirror.pid, ...(await mirror.pids())];
  assert.equal(pids.length, 6);
  const wakeups = async () => {
    const before = await Promise.all(pids.map(sleepsOf));
    await delay(SECONDS * 1000);
    const after = await Promise.all(pids.map(sleepsOf));
    return after.reduce((sum, count, index) => sum + count - (before[index] ?? 0), 0) / SECONDS;
  };
  // What a start still compiles and collects is over after a while.
  const measured: number[] = [];
  while (measured.length < 5 && (measured.at(-1) ?? Number.POSITIVE_INFINITY) > WAKEUPS_A_SECOND)
    measured.push(await wakeups());
  assert.ok((measured.at(-1) ?? 0) <= WAKEUPS_A_SECOND, `wakeups a second: ${measured.join(', ')}`);
});
