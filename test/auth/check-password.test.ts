import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import bcrypt from 'bcryptjs';
import { type CheckPassword, createCheckPassword } from '../../src/auth/identity/check-password.ts';
import { createDecoyHashes } from '../../src/auth/identity/decoy-hashes.ts';
import { LoginDelays } from '../../src/auth/identity/login-delays.ts';
import { costOf, decoyOf, hashPassword, verifyPassword } from '../../src/auth/identity/password.ts';
import type { User, Users } from '../../src/auth/identity/users-file.ts';
import { DELAY_LIMITS } from '../../src/auth/limits.ts';
import { MutableValue } from '../../src/platform/observable-value.ts';

const PARAMETERS = { memory: 2 ** 21, passes: 2 };
const HASH = hashPassword('right', PARAMETERS);
/** For tests in which it matters how long a hash takes. */
const SLOW_HASH = hashPassword('right', { memory: 19 * 2 ** 20, passes: 2 });
const BCRYPT = bcrypt.hash('right', 4);

let users: MutableValue<Users>;
let renewed: string[];
let waits: number[];
/** Can users.yaml be written? */
let isWritable: boolean;
/** Milliseconds that have passed by the monotonic clock; and what else happens while somebody waits. */
let passed: number;
let whileWaiting: () => void;

beforeEach(() => {
  passed = 0;
  whileWaiting = () => {};
  renewed = [];
  waits = [];
  isWritable = true;
});

function person(name: string, passwordHash: string, isDisabled = false): User {
  return { name, passwordHash, isDisabled, isService: false };
}

/** Waits of no length, but counted; a file of users that is a map. */
async function check(...all: User[]): Promise<CheckPassword> {
  users = new MutableValue<Users>(new Map(all.map((user) => [user.name, user])));
  const clock = () => 1_000_000;
  return createCheckPassword({
    users,
    parameters: PARAMETERS,
    delays: new LoginDelays({
      clock,
      wait: async (milliseconds) => {
        waits.push(milliseconds);
        whileWaiting();
      },
      limits: DELAY_LIMITS,
      stopping: new AbortController().signal,
    }),
    async renewHash(name, from, to) {
      renewed.push(name);
      if (!isWritable) return from;
      users.set(new Map([...users.current, [name, person(name, to)]]));
      return to;
    },
    remembersWrong: true,
    clock,
    monotonic: () => passed,
  });
}

const asked = (username: string, password: string, address = '10.1.2.3') => {
  return { username, password, address, counts: true };
};

test('unknown names, services and the disabled are slowed as the known are', async () => {
  const checkPassword = await check(person('ana', await HASH), person('zoe', await HASH, true), {
    name: 'ci',
    isService: true,
    isDisabled: false,
  });
  for (const name of ['ana', 'zoe', 'ci', 'nobody']) {
    waits.length = 0;
    for (let attempt = 0; attempt < 5; attempt++)
      assert.equal((await checkPassword(asked(name, `wrong ${attempt}`))).kind, 'wrong');
    assert.deepEqual(waits, [250, 500], name);
    waits.length = 0;
    await checkPassword(asked(name, 'right'));
    assert.deepEqual(waits, [1_000], name);
  }
});

test('invariant 14: a name that nobody has costs a hash as a known one does', async () => {
  const checkPassword = await check(person('ana', await SLOW_HASH));
  const cost = async (name: string) => {
    const before = process.cpuUsage();
    for (let attempt = 0; attempt < 4; attempt++) await checkPassword(asked(name, `guess ${attempt}`));
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const known = await cost('ana');
  const unknown = await cost('nobody');
  assert.ok(unknown > known / 3, `${unknown} µs of CPU beside ${known} µs`);
});

test('a pull that asks again and again with one wrong password is counted once', async () => {
  const checkPassword = await check(person('ana', await HASH));
  for (let attempt = 0; attempt < 20; attempt++) await checkPassword(asked('ana', 'of last year'));
  assert.equal((await checkPassword(asked('ana', 'right'))).kind, 'right');
  await Promise.all(Array.from({ length: 20 }, () => checkPassword(asked('ana', 'at once'))));
  assert.equal((await checkPassword(asked('ana', 'right'))).kind, 'right');
  assert.deepEqual(waits, []);
});

test('a weaker hash is made anew at the first right login, once, and that login is by the new one', async () => {
  const weak = await hashPassword('right', { memory: 2 ** 20, passes: 2 });
  for (const hash of [await BCRYPT, weak]) {
    renewed = [];
    const checkPassword = await check(person('ana', hash));
    assert.equal((await checkPassword(asked('ana', 'wrong'))).kind, 'wrong');
    assert.deepEqual(renewed, []);
    const verdicts = await Promise.all(Array.from({ length: 5 }, () => checkPassword(asked('ana', 'right'))));
    const now = users.current.get('ana')?.passwordHash ?? '';
    for (const verdict of verdicts) assert.equal(verdict.kind === 'right' && verdict.hash, now);
    assert.equal(costOf(now), costOf(await HASH));
    assert.ok(await verifyPassword(now, 'right'));
    assert.equal((await checkPassword(asked('ana', 'right'))).kind, 'right');
    assert.deepEqual(renewed, ['ana']);
  }
});

test('where the new hash cannot be kept the login is by the old one', async () => {
  isWritable = false;
  const checkPassword = await check(person('ana', await BCRYPT));
  const verdict = await checkPassword(asked('ana', 'right'));
  assert.equal(verdict.kind === 'right' && verdict.hash, await BCRYPT);
});

test('a disabled user’s hash is not made anew', async () => {
  const checkPassword = await check(person('ana', await BCRYPT, true));
  assert.equal((await checkPassword(asked('ana', 'right'))).kind, 'wrong');
  assert.deepEqual(renewed, []);
});

test('who is disabled, or gets another password, while the password is being judged is nobody', async () => {
  const hash = await HASH;
  for (const then of [person('ana', hash, true), person('ana', decoyOf(hash))]) {
    const checkPassword = await check(person('ana', hash));
    const verdict = checkPassword(asked('ana', 'right'));
    await setImmediate();
    users.set(new Map([['ana', then]]));
    assert.equal((await verdict).kind, 'wrong');
  }
});

test('what a disabled user was told is not remembered when they are enabled, nor the other way round', async () => {
  const checkPassword = await check(person('ana', await HASH, true));
  assert.equal((await checkPassword(asked('ana', 'right'))).kind, 'wrong');
  for (const isDisabled of [false, true, false]) {
    users.set(new Map([['ana', person('ana', await HASH, isDisabled)]]));
    assert.equal((await checkPassword(asked('ana', 'right'))).kind, isDisabled ? 'wrong' : 'right');
  }
});

test('invariant 14: a name that is unknown costs what some known one costs, and always the same', async () => {
  const [own, other] = [await HASH, await BCRYPT];
  const people = new Map(
    ['ana', 'jin', 'zoe'].map((name) => [name, person(name, name === 'zoe' ? other : own)]),
  );
  const decoyFor = createDecoyHashes(own, Buffer.from('a key'));
  const names = Array.from({ length: 300 }, (_, index) => `nobody-${index}`);
  const costs = names.map((name) => costOf(decoyFor(name, people)));
  assert.deepEqual(
    names.map((name) => costOf(decoyFor(name, people))),
    costs,
  );
  const ofBcrypt = costs.filter((cost) => cost === costOf(other)).length;
  assert.ok(ofBcrypt > 60 && ofBcrypt < 140, `${ofBcrypt} of 300 cost what one of three users costs`);
  assert.equal(costs.filter((cost) => cost === costOf(own)).length, 300 - ofBcrypt);
  assert.equal(costOf(decoyFor('anybody', new Map())), costOf(decoyOf(own)));
});

test('invariant 14: many guesses from one network keep nobody elsewhere waiting', async () => {
  const checkPassword = await check(person('ana', await SLOW_HASH));
  let judged = 0;
  const guesses = Array.from({ length: 30 }, async (_, index) => {
    const { kind } = await checkPassword(asked(`nobody-${index}`, 'wrong'));
    judged++;
    return kind;
  });
  const { kind } = await checkPassword(asked('ana', 'right', '10.9.9.9'));
  assert.equal(kind, 'right');
  assert.ok(judged <= 6, `${judged} guesses were judged before`);
  await Promise.all(guesses);
});

test('invariant 16: passwords of one network that wait to be hashed are bounded', async () => {
  const checkPassword = await check(person('ana', await HASH));
  const guesses = Array.from({ length: 40 }, (_, index) => checkPassword(asked(`nobody-${index}`, 'wrong')));
  const order: number[] = [];
  for (const [index, guess] of guesses.entries()) void guess.then(() => order.push(index));
  for (const guess of guesses.slice(33)) assert.equal((await guess).kind, 'busy');
  await Promise.all(guesses);
  // They are refused at once, and not only when they have waited for too long, as on a slow machine.
  assert.deepEqual(order.slice(0, 7), [33, 34, 35, 36, 37, 38, 39]);
});

test('invariant 16: the wait after wrong guesses counts toward the time for which a login waits', async () => {
  const checkPassword = await check(person('ana', await HASH));
  for (let attempt = 0; attempt < 3; attempt++) await checkPassword(asked('ana', `wrong ${attempt}`));
  const others: ReturnType<CheckPassword>[] = [];
  whileWaiting = () => {
    for (let index = 0; index < 6; index++) others.push(checkPassword(asked(`nobody-${index}`, 'wrong')));
    passed += 12_000;
  };
  assert.equal((await checkPassword(asked('ana', 'right'))).kind, 'busy');
  for (const other of others) assert.equal((await other).kind, 'wrong');
});

test('invariant 16: no password is hashed for a client that has gone', async () => {
  const checkPassword = await check(person('ana', await BCRYPT));
  const guesses = Array.from({ length: 3 }, (_, index) => checkPassword(asked(`nobody-${index}`, 'wrong')));
  const gone = new AbortController();
  const abandoned = checkPassword({ ...asked('ana', 'right'), signal: gone.signal });
  gone.abort();
  assert.equal((await abandoned).kind, 'busy');
  await Promise.all(guesses);
  // A correct password is hashed again, because bcrypt is weaker.
  assert.deepEqual(renewed, []);
});

test('who asks the same as a client that has gone is answered', async () => {
  const checkPassword = await check(person('ana', await HASH));
  const guesses = Array.from({ length: 6 }, (_, index) => checkPassword(asked(`nobody-${index}`, 'wrong')));
  const gone = new AbortController();
  const abandoned = checkPassword({ ...asked('ana', 'right'), signal: gone.signal });
  const other = checkPassword(asked('ana', 'right'));
  gone.abort();
  assert.equal((await abandoned).kind, 'busy');
  assert.equal((await other).kind, 'right');
  await Promise.all(guesses);
});
