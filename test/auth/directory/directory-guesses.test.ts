/** Guesses at the passwords of a directory are slowed down, however their names are written. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createDirectoryPasswords } from '../../../src/auth/identity/directory/directory-passwords.ts';
import { LoginDelays } from '../../../src/auth/identity/login-delays.ts';
import { DELAY_LIMITS } from '../../../src/auth/limits.ts';
import { openAuthState } from '../../../src/auth/state/sqlite-state.ts';
import type { LdapLogin } from '../../../src/config/login.ts';
import { MutableValue } from '../../../src/platform/observable-value.ts';
import { testLog } from '../../support/test-log.ts';

const LOGIN: LdapLogin = {
  ...{ kind: 'ldap', name: 'corp', url: 'ldap://127.0.0.1:1', startTls: false, people: 'ou=p' },
  ...{ user: 'uid', groups: 'memberOf', passwords: 'everywhere', confirm: 900_000, offline: 86_400_000 },
};

async function openPasswords(t: { after(stop: () => Promise<void>): void }) {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-guesses-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const waits: number[] = [];
  const clock = () => 1_000_000_000_000;
  const delays = new LoginDelays({
    ...{ clock, limits: DELAY_LIMITS, stopping: new AbortController().signal },
    wait: async (milliseconds) => void waits.push(milliseconds),
  });
  // As most directories do, it finds a name in upper and in lower case.
  const authenticate = async (name: string, password: string) =>
    name.toLowerCase() === 'ana' && password === 'right'
      ? { stableId: 'id-ana', name: 'ana', groups: [] }
      : undefined;
  const check = async () => ({ people: 1, withGroups: 0 });
  const keyFile = path.join(directory, 'login.key');
  const passwords = createDirectoryPasswords({
    ...{ logins: [LOGIN], keyFile, url: new URL('https://mirror.example'), delays, clock, log: testLog([]) },
    opened: [{ login: LOGIN, ldap: { authenticate, check, confirm: async () => new Map() } }],
    ...{ users: new MutableValue(new Map()), state: stack.use(openAuthState(path.join(directory, 'a.db'))) },
    ...{ refresh: async () => {}, spendHash: async () => true, watched: (_, task) => task() },
  });
  const guess = async (username: string, password = 'wrong', address = '10.0.0.1') =>
    (await passwords.judge({ username, password, address, counts: true }, 'everywhere')).kind;
  /** Guesses at the password of an entry of the users file. */
  const guessAtUser = (username: string) =>
    delays.delayed(
      { username, address: '10.0.0.1', counts: true },
      async () => false,
      () => 'wrong',
    );
  return { waits, guess, guessAtUser };
}

test('invariant 14: a name in capitals is no other name for somebody who guesses', async (t) => {
  const { waits, guess, guessAtUser } = await openPasswords(t);
  const written = ['ana', 'Ana', 'aNa', 'ANa', 'anA', 'AnA', 'aNA', 'ANA'];
  for (const name of written) assert.equal(await guess(name), 'wrong');
  assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000]);
  // The name is as quick as before from elsewhere. So are another name, and a user of that name, from here.
  await guess('ana', 'wrong', '10.9.9.9');
  await guess('bo');
  await guessAtUser('ana');
  assert.equal(waits.length, 5);
  assert.equal(await guess('ANA', 'right'), 'right');
  await guess('ana');
  assert.deepEqual(waits.slice(5), [8_000]);
});
