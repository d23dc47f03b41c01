import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { endTokensOfDeletedOwners } from '../../src/auth/identity/deleted-owners.ts';
import { watchUsers } from '../../src/auth/identity/users-watcher.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';

const DAY = 24 * 60 * 60_000;
const FILES = { all: ['ci', 'cd'], one: ['cd'] };

function textOf(names: readonly string[]): string {
  return `version: 1\nusers:\n${names.map((name) => `  ${name}: { service: true }\n`).join('')}`;
}

test('a token of an entry without an id ends when the entry is deleted, and stays ended when it is written again', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-owners-'));
  t.after(() => rm(directory, { recursive: true }));
  const usersFile = path.join(directory, 'users.yaml');
  await writeFile(usersFile, textOf(FILES.all));
  const lines: LoggedLine[] = [];
  const log = testLog(lines);
  await using state = openAuthState(path.join(directory, 'auth.db'));
  const put = (id: string, owner: string, ownerId: string | null) =>
    state.putToken({
      ...{ id, owner, ownerId, hash: 'ab', pull: null, from: null, warnedAt: null, label: null },
      ...{ createdAt: 0, expiresAt: Date.now() + DAY, lastUsedAt: null, lastUsedFrom: null },
    });
  await put('of-ci', 'ci', null);
  await put('of-cd', 'cd', null);
  await put('with-id', 'ci', 'u1234');
  const ids = async () => (await state.tokens()).map(({ id }) => id);
  using users = await watchUsers(usersFile, log);
  let looks = 0;
  const counted = {
    get current() {
      return users.current;
    },
    look: async () => {
      await users.look();
      looks++;
    },
  };
  await using _ = endTokensOfDeletedOwners({ users: counted, usersFile, state, log, interval: 5 });

  // A file that is not there deletes nobody.
  await rename(usersFile, `${usersFile}.away`);
  await waitFor(() => users.current.size === 0);
  const before = looks;
  await waitFor(() => looks >= before + 4);
  assert.deepEqual(await ids(), ['of-cd', 'of-ci', 'with-id']);
  await rename(`${usersFile}.away`, usersFile);
  await waitFor(() => users.current.size === 2);

  await writeFile(usersFile, textOf(FILES.one));
  await waitFor(async () => !(await ids()).includes('of-ci'));
  await writeFile(usersFile, textOf(FILES.all));
  await waitFor(() => users.current.has('ci'));
  assert.deepEqual(await ids(), ['of-cd', 'with-id']);
  assert.deepEqual(
    lines.filter(({ owner }) => owner !== undefined).map(({ id, owner }) => [id, owner]),
    [['of-ci', 'ci']],
  );
});

test('a node whose users file is not the one that counts ends no token', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-owners-'));
  t.after(() => rm(directory, { recursive: true }));
  const usersFile = path.join(directory, 'users.yaml');
  await writeFile(usersFile, textOf(FILES.one));
  const log = testLog([]);
  await using state = openAuthState(path.join(directory, 'auth.db'));
  await state.putToken({
    ...{
      id: 'of-ci',
      owner: 'ci',
      ownerId: null,
      hash: 'ab',
      pull: null,
      from: null,
      warnedAt: null,
      label: null,
    },
    ...{ createdAt: 0, expiresAt: Date.now() + DAY, lastUsedAt: null, lastUsedFrom: null },
  });
  using users = await watchUsers(usersFile, log);
  let asked = 0;
  let isNewest = false;
  const isCurrent = async () => {
    asked++;
    return isNewest;
  };
  await using _ = endTokensOfDeletedOwners({ users, usersFile, state, isCurrent, log, interval: 5 });
  await waitFor(() => asked >= 4);
  assert.equal((await state.tokens()).length, 1);
  isNewest = true;
  await waitFor(async () => (await state.tokens()).length === 0);
});
