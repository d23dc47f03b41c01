/** Two nodes of a cluster share the sessions, and each of them learns of a new credential in its own time. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createSessions } from '../../src/auth/identity/sessions.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import type { Credentials } from '../../src/protocol/auth-api.ts';

const NOW = 1_000_000_000_000;

function credentialsOf(...names: readonly string[]): Credentials {
  const inForce = Object.fromEntries(names.map((name) => [`dp_${name}`, { subject: `user:${name}` }]));
  return { inForce, revokedCertificates: [] };
}

async function startNodes(t: { after(stop: () => Promise<void>): void }) {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-sessions-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const state = stack.use(openAuthState(path.join(directory, 'auth.db')));
  let current = credentialsOf();
  const startNode = () => {
    let looks = 0;
    let seen = current;
    const refresh = async () => {
      looks++;
      seen = current;
    };
    const credentials = {
      get current() {
        return seen;
      },
      refresh,
    };
    return {
      sessions: createSessions({ state, credentials, clock: () => NOW }),
      looks: () => looks,
      refresh,
    };
  };
  const set = (...names: readonly string[]) => {
    current = credentialsOf(...names);
  };
  return { first: startNode(), second: startNode(), state, set };
}

const login = (user: string) => ({ user, login: 'corp', credential: `dp_${user}` });

test('a node that has not learnt of a login yet does not end its session', async (t) => {
  const { first, second, set } = await startNodes(t);
  set('ana');
  const { session } = await first.sessions.create(login('ana'));
  assert.equal((await second.sessions.find(session))?.user, 'ana');
  assert.equal((await second.sessions.find(session))?.user, 'ana');
  assert.equal(second.looks(), 1);
  // Somebody else's login there does not end it either.
  await second.refresh();
  set('ana', 'bo', 'cy');
  const other = await first.sessions.create(login('bo'));
  await second.sessions.create(login('ana'));
  assert.equal((await first.sessions.find(other.session))?.user, 'bo');
});

test('a session whose credential has ended is removed, and nobody looks for it again', async (t) => {
  const { first, state, set } = await startNodes(t);
  set('ana');
  const { session } = await first.sessions.create(login('ana'));
  set();
  await first.refresh();
  const before = first.looks();
  for (let time = 0; time < 3; time++) assert.equal(await first.sessions.find(session), undefined);
  assert.equal(first.looks(), before + 1);
  assert.deepEqual(await state.sessions(), []);
});
