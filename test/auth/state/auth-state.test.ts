import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import type { AuthState, StoredToken } from '../../../src/auth/state/auth-state.ts';
import { openAuthState } from '../../../src/auth/state/sqlite-state.ts';
import { nextMessage } from '../../support/next-message.ts';
import { waitFor } from '../../support/wait-for.ts';

let directory: string;
let file: string;
let state: AuthState;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-generation-'));
  file = path.join(directory, 'auth.db');
  state = openAuthState(file);
});

afterEach(async () => {
  await state[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

function token(id: string): StoredToken {
  const times = { createdAt: 1, expiresAt: 2, lastUsedAt: null, lastUsedFrom: null };
  return {
    id,
    owner: 'ci-pay',
    hash: 'ab',
    pull: ['docker.io/acme/**'],
    from: null,
    ownerId: null,
    warnedAt: null,
    label: null,
    ...times,
  };
}

const LOGIN = {
  ...{ user: 'ana', hash: 'cd', credential: 'pw_1', client: 'docker' },
  ...{ createdAt: 1, expiresAt: 2, lastUsedAt: null },
};

test('what is put is there, for whoever opens it next, and for nobody else to read', async () => {
  await state.putToken(token('t1'));
  const login = { ...LOGIN, id: 'l1' };
  await state.putLogin(login);
  const certificate = {
    fingerprint: 'ef',
    tbsHash: 'ab',
    name: 'node-7',
    serial: '01',
    issuedAt: 1,
    expiresAt: 2,
    revokedAt: null,
  };
  await state.putCertificate(certificate);
  await using again = openAuthState(file);
  assert.deepEqual(await again.tokens(), [token('t1')]);
  assert.deepEqual([await again.token('t1'), await again.token('t2')], [token('t1'), undefined]);
  assert.deepEqual(await again.logins(), [login]);
  assert.deepEqual([await again.login('l1'), await again.login('l2')], [login, undefined]);
  assert.deepEqual(await again.certificates(), [certificate]);
  assert.equal(await again.revokeCertificate('ef', 7), true);
  assert.equal(await again.revokeCertificate('ef', 8), false);
  assert.equal((await again.certificates())[0]?.revokedAt, 7);
  assert.equal(await again.removeToken('t1'), true);
  assert.equal(await again.removeToken('t1'), false);
  assert.equal(await again.removeLogin('l1'), true);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('what another process has removed is gone at once, and what it has put is there', async () => {
  await using other = openAuthState(file);
  for (let turn = 0; turn < 3; turn++) {
    await other.putToken(token('t1'));
    assert.deepEqual(await state.token('t1'), token('t1'));
    await other.removeToken('t1');
    assert.equal(await state.token('t1'), undefined);
  }
});

test('uses are written down a little later, at the end at the latest, and are no change', async () => {
  await state.putToken(token('t1'));
  await state.putToken(token('t2'));
  let isTold = false;
  void state.changes.changed().then(() => {
    isTold = true;
  });
  await using again = openAuthState(file);
  const used = async () =>
    (await again.tokens()).map(({ lastUsedAt, lastUsedFrom }) => [lastUsedAt, lastUsedFrom]);
  for (let at = 1; at <= 5; at++) await state.useToken('t1', at, '10.1.1.1');
  await waitFor(async () => (await again.token('t1'))?.lastUsedAt === 5);
  assert.deepEqual(await used(), [
    [5, '10.1.1.1'],
    [null, null],
  ]);
  await state.useToken('t2', 6, '10.1.1.2');
  await state[Symbol.asyncDispose]();
  assert.deepEqual(await used(), [
    [5, '10.1.1.1'],
    [6, '10.1.1.2'],
  ]);
  assert.equal(isTold, false);
  state = openAuthState(file);
});

test('a change is told, by whomever it was made', async () => {
  const own = state.changes.changed();
  await state.putToken(token('t1'));
  await own;
  await using other = openAuthState(file);
  const foreign = state.changes.changed();
  await other.putToken(token('t2'));
  await foreign;
  assert.equal((await state.tokens()).length, 2);
});

/** Copies the database file alone, as some backups do. */
async function copied(): Promise<AuthState> {
  const copy = path.join(directory, 'copy.db');
  await copyFile(file, copy);
  return openAuthState(copy);
}

test('a copy of the file alone has every change that was made before, while the state is open', async () => {
  const certificate = { fingerprint: 'ef', tbsHash: 'ab', name: 'node-7', serial: '01', revokedAt: null };
  await state.putCertificate({ ...certificate, issuedAt: 1, expiresAt: 2 });
  await state.putToken(token('t1'));
  await state.putToken(token('t2'));
  await state.putLogin({ ...LOGIN, id: 'l1' });
  await state.putLogin({ ...LOGIN, id: 'l2' });
  // Commands write to the file in this way while auth has it open.
  await using other = openAuthState(file);
  await other.revokeCertificate('ef', 7);
  await other.removeToken('t1');
  await state.removeLogin('l1');
  await state.useToken('t2', 9, '10.1.1.1');
  await using copy = await copied();
  assert.equal((await copy.certificates())[0]?.revokedAt, 7);
  assert.deepEqual(
    (await copy.tokens()).map(({ id }) => id),
    ['t2'],
  );
  assert.deepEqual(
    (await copy.logins()).map(({ id }) => id),
    ['l2'],
  );
});

test('a change that a reader keeps from the file is in it a little later', async () => {
  const reader = new DatabaseSync(file);
  reader.exec('BEGIN; SELECT * FROM token');
  const impatient = openAuthState(file, 0);
  await impatient.putToken(token('t1'));
  reader.exec('COMMIT');
  reader.close();
  await waitFor(async () => {
    try {
      await using copy = await copied();
      return (await copy.token('t1')) !== undefined;
    } catch {
      // A part of it was moved when the copy was made.
      return false;
    }
  });
  await impatient[Symbol.asyncDispose]();
});

test('what was put survives a kill at any moment', async () => {
  const writer = path.join(import.meta.dirname, '../../support/fixtures/state-writer.ts');
  for (let turn = 0; turn < 5; turn++) {
    const child = fork(writer, [file, `turn-${turn}`, '10000']);
    const said: string[] = [];
    child.on('message', (id) => said.push(String(id)));
    while (said.length < 10 + turn * 7) await nextMessage(child);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const there = new Set((await state.tokens()).map(({ id }) => id));
    assert.deepEqual(
      said.filter((id) => !there.has(id)),
      [],
    );
  }
});

test('a state of version 1 is taken over: its tokens belong to entries without an id', async () => {
  const old = path.join(directory, 'old.db');
  const database = new DatabaseSync(old);
  database.exec(`
    CREATE TABLE token (
      id TEXT PRIMARY KEY, owner TEXT NOT NULL, hash TEXT NOT NULL, created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL, pull TEXT, networks TEXT, last_used_at INTEGER, last_used_from TEXT
    ) STRICT, WITHOUT ROWID;
    INSERT INTO token VALUES ('t1', 'ci-pay', 'ab', 1, 2, '["docker.io/acme/**"]', NULL, NULL, NULL);
    PRAGMA user_version = 1;
  `);
  database.close();
  {
    await using upgraded = openAuthState(old);
    assert.deepEqual(await upgraded.tokens(), [token('t1')]);
    await upgraded.putToken({ ...token('t2'), ownerId: 'a1b2' });
  }
  await using again = openAuthState(old);
  assert.deepEqual(
    (await again.tokens()).map(({ ownerId }) => ownerId),
    [null, 'a1b2'],
  );
});

test('a damaged file is an error, not a new beginning: what was revoked would be good again', async () => {
  const damaged = path.join(directory, 'damaged.db');
  await writeFile(damaged, 'no database at all, but long enough to have been one');
  assert.throws(() => openAuthState(damaged), /damaged\.db cannot be used/);
});
