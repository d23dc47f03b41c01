import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import {
  type DelayLimits,
  delayAfter,
  LoginDelays,
  type LoginOutcome,
} from '../../src/auth/identity/login-delays.ts';
import { loginNetwork } from '../../src/auth/identity/login-network.ts';
import { DELAY_LIMITS } from '../../src/auth/limits.ts';
import { waitFor } from '../support/wait-for.ts';

const HERE = '10.1.2.3';
const NEIGHBOUR = '10.1.2.200';
const ELSEWHERE = '10.1.3.3';

let now: number;
/** What was waited for, and is over when a test says so, or at once. */
let waits: number[];
let release: (() => void)[];
let isHeld: boolean;
let stopping: AbortController;

beforeEach(() => {
  now = 1_000_000;
  waits = [];
  release = [];
  isHeld = false;
  stopping = new AbortController();
});

function delays(limits: Partial<DelayLimits> = {}): LoginDelays {
  const wait = (milliseconds: number, signal: AbortSignal) => {
    waits.push(milliseconds);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => reject(signal.reason));
    if (isHeld) release.push(resolve);
    else resolve();
    return promise;
  };
  return new LoginDelays({
    clock: () => now,
    wait,
    limits: { ...DELAY_LIMITS, ...limits },
    stopping: stopping.signal,
  });
}

interface Tried {
  readonly username?: string;
  readonly address?: string;
  readonly counts?: boolean;
}

function attempt(
  room: LoginDelays,
  outcome: LoginOutcome,
  tried: Tried = {},
): Promise<LoginOutcome | undefined> {
  const asked = { username: 'ana', address: HERE, counts: true, ...tried };
  return room.delayed(
    asked,
    async () => outcome,
    (judged) => judged,
  );
}

async function wrong(room: LoginDelays, times: number, tried: Tried = {}): Promise<void> {
  for (let time = 0; time < times; time++) assert.equal(await attempt(room, 'wrong', tried), 'wrong');
}

test('three wrong ones are free, and each further attempt waits twice as long as the one before, up to 8 s', async () => {
  const room = delays();
  await wrong(room, 3);
  assert.deepEqual(waits, []);
  await wrong(room, 8);
  assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  assert.equal(delayAfter(1_000_000, DELAY_LIMITS), 8_000);
});

test('a right one waits as well, and clears', async () => {
  const room = delays();
  await wrong(room, 4);
  assert.equal(await attempt(room, 'right'), 'right');
  assert.deepEqual(waits, [250, 500]);
  await wrong(room, 3);
  assert.equal(waits.length, 2);
});

test('other names and other networks are not slowed, and neighbours in one network are one', async () => {
  const room = delays();
  await wrong(room, 5);
  waits.length = 0;
  await attempt(room, 'right', { address: ELSEWHERE });
  await attempt(room, 'right', { username: 'jin' });
  assert.deepEqual(waits, []);
  await attempt(room, 'wrong', { address: NEIGHBOUR });
  assert.deepEqual(waits, [1_000]);
});

test('a network is /24 of IPv4, mapped or not, and /64 of IPv6', () => {
  const same: [string, string][] = [
    ['10.1.2.3', '10.1.2.255'],
    ['10.1.2.3', '::ffff:10.1.2.4'],
    ['10.1.2.3', '::ffff:a01:209'],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9'],
    ['fe80::1%eth0', 'fe80::2%eth0'],
  ];
  for (const [a, b] of same) assert.equal(loginNetwork(a), loginNetwork(b), `${a} ${b}`);
  const other: [string, string][] = [
    ['10.1.2.3', '10.1.3.3'],
    ['2001:db8:1:2::1', '2001:db8:1:3::1'],
    ['10.1.2.3', '::ffff:10.1.3.3'],
    ['10.1.2.3', '2001:db8::1'],
    ['::1', '::ffff:0.0.0.1'],
  ];
  for (const [a, b] of other) assert.notEqual(loginNetwork(a), loginNetwork(b), `${a} ${b}`);
});

test('what is not counted and what was not judged add nothing, but wait where others have guessed', async () => {
  const room = delays();
  await wrong(room, 20, { counts: false });
  for (let time = 0; time < 20; time++) await attempt(room, 'unknown');
  assert.deepEqual(waits, []);
  await wrong(room, 3);
  await wrong(room, 1, { counts: false });
  await wrong(room, 1);
  assert.deepEqual(waits, [250, 250]);
});

test('attempts that come all at once are not free', async () => {
  isHeld = true;
  const room = delays();
  const all = Array.from({ length: 6 }, () => attempt(room, 'wrong'));
  await waitFor(() => waits.length === 3);
  assert.deepEqual(waits, [250, 500, 1_000]);
  for (const go of release) go();
  await Promise.all(all);
});

test('wrong ones are forgotten a quarter of an hour after the last', async () => {
  const room = delays();
  await wrong(room, 4);
  now += DELAY_LIMITS.forgottenAfter - 1;
  await wrong(room, 1);
  assert.deepEqual(waits, [250, 500]);
  now += DELAY_LIMITS.forgottenAfter + 1;
  await wrong(room, 3);
  assert.equal(waits.length, 2);
});

test('invariant 16: who waits is bounded, for a pair and in all, and is told at once at the end', async () => {
  isHeld = true;
  const room = delays({ free: 0, maxWaiting: 6, maxWaitingEach: 4 });
  const ana = Array.from({ length: 6 }, () => attempt(room, 'wrong'));
  await waitFor(() => waits.length === 4);
  assert.deepEqual(await Promise.all(ana.slice(4)), [undefined, undefined]);
  const jin = Array.from({ length: 4 }, () => attempt(room, 'wrong', { username: 'jin' }));
  await waitFor(() => waits.length === 6);
  assert.deepEqual(await Promise.all(jin.slice(2)), [undefined, undefined]);
  stopping.abort();
  assert.deepEqual(
    await Promise.all([...ana, ...jin]),
    Array.from({ length: 10 }, () => undefined),
  );
});

test('what is remembered is bounded: the pairs that were tried longest ago go first', async () => {
  const room = delays({ maxCached: 2 });
  await wrong(room, 3);
  await wrong(room, 3, { username: 'jin' });
  await wrong(room, 3, { username: 'zoe' });
  await wrong(room, 1);
  assert.deepEqual(waits, []);
  await wrong(room, 1, { username: 'zoe' });
  assert.deepEqual(waits, [250]);
});
