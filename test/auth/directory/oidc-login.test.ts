import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type OidcDirectory, openOidcDirectory } from '../../../src/auth/identity/directory/oidc.ts';
import type { OidcLogin } from '../../../src/config/login.ts';
import { IdentityProvider } from '../../support/identity-provider.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const CALLBACK = new URL('https://mirror.example/account/login/corp/callback');

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());

const provider = stack.use(await IdentityProvider.start(CALLBACK.href));
const { issuer } = provider;

const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-oidc-'));
stack.defer(() => rm(directory, { recursive: true }));
const clientSecretFile = path.join(directory, 'secret');
await writeFile(clientSecretFile, 'directory-secret\n', { mode: 0o600 });

const LOGIN: OidcLogin = {
  ...{ kind: 'oidc', name: 'corp', issuer, clientId: 'hubgate-with-secret', clientSecretFile },
  ...{ user: [{ claim: ['preferred_username'] }], groups: ['groups'], confirm: 900_000, offline: 86_400_000 },
};
const log: LoggedLine[] = [];
const oidc: OidcDirectory = stack.use(openOidcDirectory({ login: LOGIN, log: testLog(log) }));

async function person(sub: string, claims: Readonly<Record<string, unknown>>): Promise<void> {
  await provider.setPerson(sub, claims);
  await provider.logsIn(sub);
}

async function login() {
  const { location, pending } = await oidc.begin(CALLBACK);
  return { pending, back: await provider.browse(location) };
}

async function personOf({ pending, back }: Awaited<ReturnType<typeof login>>) {
  const answer = await oidc.finish(back, pending);
  assert.ok('person' in answer, JSON.stringify(answer));
  return answer.person;
}

test('a person logs in with PKCE, and the claims give the name and the groups', async () => {
  await person('sub-1', { preferred_username: 'ana', groups: ['payments', 'ops', 'payments'] });
  const { pending, back } = await login();
  const said = await personOf({ pending, back });
  const { stableId, name, groups } = said;
  assert.deepEqual(
    { stableId, name, groups },
    { stableId: 'sub-1', name: 'ana', groups: ['ops', 'payments'] },
  );
  assert.ok(said.refreshToken);
  const again = await oidc.finish(back, pending);
  assert.match(JSON.stringify(again), /was finished already/);
});

test('an answer with another state, nonce, verifier or issuer is refused', async () => {
  await person('sub-1', { preferred_username: 'ana', groups: [] });
  for (const key of ['state', 'nonce', 'verifier'] as const) {
    const { pending, back } = await login();
    const other = (await oidc.begin(CALLBACK)).pending[key];
    assert.ok('refused' in (await oidc.finish(back, { ...pending, [key]: other })), key);
  }
  const { pending, back } = await login();
  back.searchParams.set('iss', 'https://elsewhere.example');
  assert.ok('refused' in (await oidc.finish(back, pending)));
  const refused = new URL(
    `${CALLBACK.href}?error=access_denied&state=${pending.state}&iss=${encodeURIComponent(issuer)}`,
  );
  assert.deepEqual(await oidc.finish(refused, pending), {
    refused: 'the identity provider refused the login',
  });
});

test('a refresh says what has changed, and a no is told from silence', async () => {
  await person('sub-2', { preferred_username: 'bo', groups: ['payments'] });
  const first = await personOf(await login());
  await person('sub-2', { preferred_username: 'bob', groups: [] });
  const second = await oidc.refresh(first.refreshToken ?? '', 'sub-2');
  assert.ok(second.kind === 'confirmed');
  assert.deepEqual([second.person.name, second.person.groups], ['bob', []]);
  const other = await oidc.refresh(second.person.refreshToken ?? '', 'sub-1');
  assert.ok(other.kind === 'unusable');
  assert.match(other.reason, /somebody else/);
  assert.deepEqual(await oidc.refresh('made-up', 'sub-2'), { kind: 'refused' });
  await using silent = openOidcDirectory({
    login: { ...LOGIN, issuer: 'http://127.0.0.1:1' },
    log: testLog([]),
  });
  await assert.rejects(silent.refresh('any', 'sub-2'), { name: 'DirectoryUnavailable' });
});

test('the new refresh token is known even if the provider says nothing else that can be used', async () => {
  await person('sub-5', { preferred_username: 'ed', groups: [] });
  const first = await personOf(await login());
  await provider.silence('userinfo');
  const silent = await oidc.refresh(first.refreshToken ?? '', 'sub-5');
  await provider.silence('nothing');
  assert.ok(silent.kind === 'unusable' && silent.fault !== undefined);
  await person('sub-5', { preferred_username: 'no name', groups: [] });
  const unfit = await oidc.refresh(silent.refreshToken ?? '', 'sub-5');
  assert.ok(unfit.kind === 'unusable' && unfit.fault === undefined, JSON.stringify(unfit));
  await person('sub-5', { preferred_username: 'ed', groups: [] });
  assert.equal((await oidc.refresh(unfit.refreshToken ?? '', 'sub-5')).kind, 'confirmed');
});

test('a claim that is missing means no groups, and too long a list that nobody knows all', async () => {
  await person('sub-3', { preferred_username: 'cy' });
  assert.deepEqual((await personOf(await login())).groups, []);
  const many = Array.from({ length: 1_001 }, (_, index) => `g${index}`);
  await person('sub-4', { preferred_username: 'di', groups: many });
  assert.equal((await personOf(await login())).groups, 'incomplete');
  assert.ok(log.some(({ msg }) => msg.includes('too many groups')));
});
