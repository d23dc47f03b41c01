import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { unlinkPerson } from '../../../src/auth/admin/people.ts';
import { bindPerson } from '../../../src/auth/identity/directory/bind-person.ts';
import { confirmByLdap } from '../../../src/auth/identity/directory/confirm-people.ts';
import { localClaims } from '../../../src/auth/identity/directory/confirmation-claims.ts';
import { ownerIdOf } from '../../../src/auth/identity/directory/counted-people.ts';
import type { DirectoryPerson } from '../../../src/auth/identity/directory/directory.ts';
import { openTextSeal } from '../../../src/auth/identity/directory/sealed-text.ts';
import type { User } from '../../../src/auth/identity/users-file.ts';
import type { AuthState } from '../../../src/auth/state/auth-state.ts';
import { openAuthState } from '../../../src/auth/state/sqlite-state.ts';
import type { LdapLogin } from '../../../src/config/login.ts';
import { MutableValue } from '../../../src/platform/observable-value.ts';
import { testLog } from '../../support/test-log.ts';

const NOW = 1_000_000_000_000;
const LOGIN: LdapLogin = {
  ...{ kind: 'ldap', name: 'corp', url: 'ldap://127.0.0.1:1', startTls: false, people: 'ou=p' },
  ...{ user: 'uid', groups: 'memberOf', passwords: 'console', confirm: 900_000, offline: 86_400_000 },
};

let directory: string;
let state: AuthState;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-people-'));
  state = openAuthState(path.join(directory, 'auth.db'));
});

afterEach(async () => {
  await state[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

function said(
  name: string,
  stableId = `id-${name}`,
  groups: DirectoryPerson['groups'] = [],
): DirectoryPerson {
  return { name, stableId, groups };
}

async function bind(person: DirectoryPerson, { login = 'corp', local = [] as string[], now = NOW } = {}) {
  const users = new Map(
    local.map((name): [string, User] => [name, { name, isService: false, isDisabled: false }]),
  );
  const bound = await bindPerson(person, { state, users, login, refresh: null, now });
  return 'refused' in bound ? bound.refused : bound.person.name;
}

const TAKEN = /^the name ana belongs to another account; .*: hubgate user link ana (corp|ad) [\w-]+$/;

test('a name belongs to the first account, and to no other of that or another directory', async () => {
  assert.equal(await bind(said('ana')), 'ana');
  assert.equal(await bind(said('ana')), 'ana');
  assert.match(await bind(said('ana', 'hired-again')), TAKEN);
  assert.match(await bind(said('ana'), { login: 'ad' }), TAKEN);
  assert.equal((await state.people()).length, 1);
});

test('a name of the users file is refused until an operator links it, for that login alone', async () => {
  assert.match(await bind(said('ana'), { local: ['ana'] }), TAKEN);
  const pending = {
    groups: [],
    confirmedAt: 0,
    refusedAt: null,
    refresh: null,
    sid: null,
    linkedAt: NOW,
    namedAt: NOW,
  };
  await state.putPerson({ name: 'ana', login: 'corp', stableId: null, ...pending });
  assert.match(await bind(said('ana'), { local: ['ana'], login: 'ad' }), TAKEN);
  assert.equal(await bind(said('ana'), { local: ['ana'] }), 'ana');
  assert.match(await bind(said('ana', 'another'), { local: ['ana'] }), TAKEN);
  assert.equal((await state.person('ana'))?.linkedAt, NOW);
});

test('the command that a refusal shows is one line of a shell, whatever ids the directory gives', async () => {
  await bind(said('ana'));
  for (const [id, word] of [
    ['auth0|7', "'auth0|7'"],
    ["a'; rm -r ~ #", "'a'\\''; rm -r ~ #'"],
    ['me@corp.example', 'me@corp.example'],
  ] as const)
    assert.ok((await bind(said('ana', id))).endsWith(`: hubgate user link ana corp ${word}`), id);
});

test('a new name of the directory is taken over if nobody has it', async () => {
  await bind(said('ana'));
  await bind(said('bo'));
  assert.equal(await bind(said('anna', 'id-ana')), 'anna');
  assert.equal(await state.person('ana'), undefined);
  assert.match(await bind(said('bo', 'id-ana')), /the name bo belongs/);
  assert.match(await bind(said('jin', 'id-ana'), { local: ['jin'] }), /the name jin belongs/);
});

test('a link holds for the name that the operator linked, and for no name that the directory gives later', async () => {
  const pending = {
    groups: [],
    confirmedAt: 0,
    refusedAt: null,
    refresh: null,
    sid: null,
    linkedAt: NOW,
    namedAt: NOW,
  };
  for (const name of ['ana', 'bo'])
    await state.putPerson({ name, login: 'corp', stableId: null, ...pending });
  for (const name of ['ana', 'bo']) assert.equal(await bind(said(name), { local: ['ana', 'bo'] }), name);
  // One new name comes with a login, and the other one with a confirmation.
  assert.equal(await bind(said('cy', 'id-ana'), { now: NOW + 1 }), 'cy');
  await confirm([said('cy', 'id-ana'), said('di', 'id-bo')], NOW + LOGIN.confirm);
  const later = NOW + LOGIN.confirm;
  const linked = (await state.people()).map(({ name, linkedAt, namedAt }) => [name, linkedAt, namedAt]);
  assert.deepEqual(linked, [
    ['cy', null, NOW + 1],
    ['di', null, later],
  ]);
  // So a user who gets the name later does not share it.
  assert.match(await bind(said('cy', 'id-ana'), { local: ['cy'] }), /the name cy belongs to another account/);
});

test('a name that no user can have is refused with the rule', async () => {
  for (const name of ['a b', 'anonymous', 'oidc', 'a:b', '../a', ''])
    assert.match(await bind(said(name)), /"/);
  assert.deepEqual(await state.people(), []);
});

async function confirm(found: readonly DirectoryPerson[], now: number) {
  const seal = await openTextSeal(path.join(directory, 'state/login.key'));
  const ldap = {
    authenticate: async () => undefined,
    confirm: async () => new Map(found.map((person) => [person.stableId, person])),
    check: async () => ({ people: 0, withGroups: 0 }),
  };
  const users = new MutableValue(new Map());
  const options = { state, users, seal, claims: localClaims(), clock: () => now, log: testLog([]) };
  await confirmByLdap(LOGIN, ldap, options);
}

test('a confirmation updates groups and names, and refuses who is gone', async () => {
  for (const name of ['ana', 'bo', 'cy']) await bind(said(name, `id-${name}`, ['a']));
  const later = NOW + LOGIN.confirm;
  await confirm([said('ana', 'id-ana', ['a']), said('bo2', 'id-bo', ['b'])], later);
  const facts = (await state.people()).map(({ name, groups, confirmedAt, refusedAt }) => [
    name,
    groups.join(),
    confirmedAt,
    refusedAt,
  ]);
  assert.deepEqual(facts, [
    ['ana', 'a', later, null],
    ['bo2', 'b', later, null],
    ['cy', 'a', NOW, later],
  ]);
  const back = later + LOGIN.confirm;
  await confirm([said('ana'), said('bo2', 'id-bo'), said('cy')], back);
  assert.equal((await state.person('cy'))?.refusedAt, null);
});

test('somebody whose groups nobody knows all is refused, and is confirmed when they are known', async () => {
  assert.match(await bind(said('dan', 'id-dan', 'incomplete')), /^you have more groups at corp than/);
  assert.deepEqual(await state.people(), []);
  await bind(said('ana', 'id-ana', ['a']));
  const later = NOW + LOGIN.confirm;
  await confirm([said('ana', 'id-ana', 'incomplete')], later);
  assert.deepEqual((await state.person('ana'))?.refusedAt, later);
  assert.match(await bind(said('ana', 'id-ana', 'incomplete')), /more groups/);
  assert.deepEqual((await state.person('ana'))?.refusedAt, later);
  await confirm([said('ana', 'id-ana', ['b'])], later + LOGIN.confirm);
  const { groups, refusedAt } = (await state.person('ana')) ?? {};
  assert.deepEqual([groups, refusedAt], [['b'], null]);
});

test('a person who cannot be written does not keep the others from being confirmed', async () => {
  for (const name of ['ana', 'bo']) await bind(said(name));
  state.updatePerson = () => Promise.reject(new Error('cannot be written'));
  const later = NOW + LOGIN.confirm;
  await assert.rejects(confirm([said('ana'), said('bo', 'id-bo', ['b'])], later), /cannot be written/);
  const confirmed = (await state.people()).map(({ name, confirmedAt }) => [name, confirmedAt]);
  assert.deepEqual(confirmed, [
    ['ana', later],
    ['bo', NOW],
  ]);
});

test('somebody stays linked until all their tokens are removed, so that a removal can be repeated', async () => {
  await bind(said('ana'));
  const ownerId = ownerIdOf({ login: 'corp', stableId: 'id-ana' });
  await state.putToken({
    ...{ id: 't1', owner: 'ana', ownerId, hash: 'h', createdAt: 1, expiresAt: 2, pull: null, from: null },
    ...{ lastUsedAt: null, lastUsedFrom: null, warnedAt: null, label: null },
  });
  const place = { authState: path.join(directory, 'auth.db') };
  const database = new DatabaseSync(place.authState);
  database.exec("CREATE TRIGGER broken BEFORE DELETE ON token BEGIN SELECT RAISE(ABORT, 'broken'); END");
  await assert.rejects(unlinkPerson(place, 'ana'), /broken/);
  assert.equal((await state.person('ana'))?.stableId, 'id-ana');
  database.exec('DROP TRIGGER broken');
  database.close();
  assert.equal((await unlinkPerson(place, 'ana'))?.name, 'ana');
  assert.deepEqual([await state.tokens(), await state.people()], [[], []]);
});

test('a directory that suddenly finds nobody is not believed', async () => {
  for (let count = 0; count < 5; count++) await bind(said(`p${count}`));
  await assert.rejects(confirm([], NOW + LOGIN.confirm), /finds none of the people/);
  assert.ok((await state.people()).every(({ refusedAt }) => refusedAt === null));
});

test('what is sealed is opened with the same key and for the same purpose only', async () => {
  const file = path.join(directory, 'state/login.key');
  const seal = await openTextSeal(file);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const sealed = seal.seal('one', 'a secret');
  assert.doesNotMatch(sealed, /secret/);
  assert.equal((await openTextSeal(file)).open('one', sealed), 'a secret');
  assert.equal(seal.open('two', sealed), undefined);
  assert.equal(seal.open('one', `${sealed.slice(0, -3)}AAA`), undefined);
  for (const text of ['', 'x', '.', `${sealed.split('.')[0]}.`])
    assert.equal(seal.open('one', text), undefined);
  const other = await openTextSeal(path.join(directory, 'other.key'));
  assert.equal(other.open('one', sealed), undefined);
  await writeFile(file, 'short\n');
  await assert.rejects(openTextSeal(file), /is no key/);
});
