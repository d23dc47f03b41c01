/**
 * A backup of what the account page and the logins of directories need, and the mirror that is made of it.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openTextSeal } from '../../src/auth/identity/directory/sealed-text.ts';
import { formatServiceToken, hashOfSecret, makeServiceToken } from '../../src/auth/identity/service-token.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import type { StoredPerson } from '../../src/auth/state/stored-person.ts';
import { pathsIn } from '../../src/config/home.ts';
import { askAuth } from '../support/ask-auth.ts';
import { shareCompiled } from '../support/compiled.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { basic } from '../support/test-hubgate.ts';
import { runVerb } from './support/terminal.ts';

/** Nothing answers there, so everybody goes on by what is stored. */
const CONFIG = `server: { url: https://mirror.test, names: [localhost] }
login:
  corp: { oidc: { issuer: "http://127.0.0.1:1", clientId: hubgate } }
  ad: { ldap: { url: "ldap://127.0.0.1:1", people: "ou=people,dc=corp" } }
`;
const POLICY = `version: 1
allow:
  - { pull: acme/pay, to: "group:corp/payments", private: true }
  - { pull: acme/app, to: max, private: true }
...
`;
const PASSWORD = 'the password of max';
const DAY = 24 * 60 * 60_000;

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-backup-logins-'));
});

after(() => rm(directory, { recursive: true }));

async function mustRun(home: string, typed: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runVerb([...args, '--home', home], { typed });
  assert.equal(code, 0, `hubgate ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Binds a person as a login does, and gives them a token as the account page does. */
async function bindPerson(home: string, more: Partial<StoredPerson> & Pick<StoredPerson, 'name' | 'login'>) {
  const now = Date.now();
  const seal = await openTextSeal(pathsIn(home).loginKey);
  const person: StoredPerson = {
    ...{ stableId: `id-${more.name}`, groups: ['payments'], confirmedAt: now, refusedAt: null },
    ...{
      refresh: seal.seal('refresh token', `of ${more.name}`),
      sid: null,
      linkedAt: null,
      namedAt: null,
      ...more,
    },
  };
  const { id, secret } = makeServiceToken();
  await using state = openAuthState(pathsIn(home).authState);
  await state.putPerson(person);
  await state.putToken({
    ...{ id, owner: person.name, ownerId: `${person.login}/${person.stableId}`, hash: hashOfSecret(secret) },
    ...{ createdAt: now, expiresAt: now + DAY, lastUsedAt: null, lastUsedFrom: null, warnedAt: null },
    ...{ pull: null, from: null, label: 'laptop' },
  });
  return formatServiceToken({ id, secret });
}

/** Returns the scope that somebody gets for two repositories. */
async function scopeOf(mirror: RunningMirror, user: string, password: string): Promise<string | undefined> {
  const scopes = ['acme/pay', 'acme/app'].map((name) => `scope=repository:${name}:pull`).join('&');
  const headers = { authorization: basic(user, password) };
  const { status, body } = await mirror.ask(`/token?service=mirror.test&${scopes}`, { headers });
  return status === 200 ? JSON.parse(body.toString()).scope : undefined;
}

/** Asks auth as the account page does. */
async function asked({ home }: RunningMirror, target: string, body: object) {
  const answer = await askAuth(pathsIn(home).authSocket, target, body);
  assert.equal(answer.status, 200, `${target}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

test('after a restore personal tokens work, people have their groups, and sessions and refresh tokens go on', async () => {
  const backup = path.join(directory, 'backup');
  const tokens = { zoe: '', max: '', lea: '' };
  let session = '';
  {
    await using mirror = await RunningMirror.start({
      config: CONFIG,
      policy: POLICY,
      prepare: async ({ home }) => {
        await mustRun(home, PASSWORD, 'user', 'add', 'max', '--password-stdin');
        await mustRun(home, PASSWORD, 'user', 'add', 'lea', '--password-stdin');
        tokens.zoe = await bindPerson(home, { name: 'zoe', login: 'corp' });
        tokens.lea = await bindPerson(home, { name: 'lea', login: 'corp', linkedAt: Date.now() });
        await bindPerson(home, { name: 'ed', login: 'ad' });
      },
    });
    const login = { kind: 'password', name: 'max', password: PASSWORD, address: '127.0.0.1' };
    session = String((await asked(mirror, '/session', login)).session);
    const { csrf } = await asked(mirror, '/session/show', { session });
    const terms = { label: 'build-7', expires: '7d', pull: null, push: null, from: null };
    tokens.max = String((await asked(mirror, '/account/tokens/create', { session, csrf, ...terms })).token);
    await mustRun(mirror.home, '', 'backup', backup);
  }
  await using restored = await RunningMirror.start({
    prepare: async ({ home }) => {
      // The directory of a mirror that a test starts has compiled code.
      await rm(path.join(home, 'run'), { recursive: true });
      const { code, stderr } = await runVerb(['restore', backup, '--home', home]);
      assert.equal(code, 0, stderr);
      await shareCompiled(home);
    },
  });
  assert.equal(await scopeOf(restored, 'zoe', tokens.zoe), 'repository:acme/pay:pull');
  assert.equal(await scopeOf(restored, 'lea', tokens.lea), 'repository:acme/pay:pull');
  assert.equal(await scopeOf(restored, 'max', tokens.max), 'repository:acme/app:pull');
  assert.match(JSON.stringify(await asked(restored, '/account/tokens', { session })), /"build-7"/);
  const { home } = restored;
  const seal = await openTextSeal(pathsIn(home).loginKey);
  await using state = openAuthState(pathsIn(home).authState);
  for (const { name, refresh } of await state.people())
    assert.equal(seal.open('refresh token', refresh ?? ''), `of ${name}`);
  const people = JSON.parse(await mustRun(home, '', 'people', '--json')) as { name: string }[];
  assert.deepEqual(people.map(({ name }) => name).toSorted(), ['ed', 'lea', 'zoe']);
});
