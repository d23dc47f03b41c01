/** Two nodes of a cluster share the logins at an identity provider. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  type DirectoryLogins,
  openDirectoryLogins,
} from '../../src/auth/identity/directory/directory-logins.ts';
import { shareDirectoryLogins } from '../../src/auth/identity/directory/share-directory-logins.ts';
import { LoginDelays } from '../../src/auth/identity/login-delays.ts';
import { DELAY_LIMITS } from '../../src/auth/limits.ts';
import type { AuthState } from '../../src/auth/state/auth-state.ts';
import { createPostgresState } from '../../src/auth/state/postgres-state.ts';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import type { OidcLogin } from '../../src/config/login.ts';
import { MutableValue } from '../../src/platform/observable-value.ts';
import { IdentityProvider } from '../support/identity-provider.ts';
import { testLog } from '../support/test-log.ts';
import { startPostgres } from './support/postgres-server.ts';

const URL_OF_ALL = new URL('https://mirror.example');
const CONFIRM = 900_000;

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());
const server = stack.use(await startPostgres());
const provider = stack.use(
  await IdentityProvider.start('https://mirror.example/account/login/corp/callback'),
);
const LOGIN: OidcLogin = {
  ...{ kind: 'oidc', name: 'corp', issuer: provider.issuer, clientId: 'hubgate' },
  ...{ user: [{ claim: ['preferred_username'] }], groups: ['groups'], confirm: CONFIRM, offline: 86_400_000 },
};

let ahead = 0;
const clock = () => Date.now() + ahead;

interface Node {
  readonly state: AuthState;
  readonly logins: DirectoryLogins;
}

const database = await server.database();
const [first, second] = [await startNode('n1'), await startNode('n2')];

/** Starts the logins of a node, with a home of its own. */
async function startNode(node: string): Promise<Node> {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-node-'));
  stack.defer(() => rm(home, { recursive: true }));
  const log = testLog([]);
  const opened = stack.use(await openClusterDatabase({ url: database, application: node, log }));
  const state = stack.use(createPostgresState(opened));
  const delays = new LoginDelays({
    ...{ clock, wait: async () => {}, limits: DELAY_LIMITS, stopping: new AbortController().signal },
  });
  const logins = stack.use(
    await openDirectoryLogins({
      ...{ logins: [LOGIN], url: URL_OF_ALL, users: new MutableValue(new Map()), state, delays, clock, log },
      ...{ keyFile: path.join(home, 'login.key'), refresh: async () => {}, spendHash: async () => true },
      shared: shareDirectoryLogins(opened.database, node),
    }),
  );
  return { state, logins };
}

/** Begins a login at one node, and finishes it at another one, as a balancer decides. */
async function logIn(name: string, begins: Node, finishes: Node, groups = ['payments']): Promise<void> {
  await provider.setPerson(`sub-${name}`, { preferred_username: name, groups });
  await provider.logsIn(`sub-${name}`);
  const begun = (await begins.logins.browsers.begin('corp', '/account/')) ?? assert.fail();
  const back = await provider.browse(begun.location);
  const finished = await finishes.logins.browsers.finish('corp', back.search, begun.state);
  assert.equal(finished.kind, 'done', JSON.stringify(finished));
}

test('a login that began at one node is finished at another one', async () => {
  await logIn('ana', first, second);
  assert.equal((await first.state.person('ana'))?.login, 'corp');
});

test('somebody who has a group that no database can keep has the others, and is confirmed', async () => {
  await logIn('odd', first, second, ['payments', 'a\u0000b', 'half \ud800']);
  assert.deepEqual((await first.state.person('odd'))?.groups, ['payments']);
  await provider.setPerson('sub-odd', { preferred_username: 'odd', groups: ['others', '\u0000'] });
  ahead += CONFIRM;
  await first.logins.confirm();
  const { groups, confirmedAt = 0 } = (await first.state.person('odd')) ?? {};
  assert.deepEqual(groups, ['others']);
  assert.ok(clock() - confirmedAt < CONFIRM / 2);
});

test('exactly one node confirms a person, and any node can', async () => {
  const names = Array.from({ length: 10 }, (_, index) => `p${index}`);
  for (const [index, name] of names.entries())
    await (index % 2 === 0 ? logIn(name, first, first) : logIn(name, second, second));
  for (const nodes of [[first, second], [first], [second, first, second]]) {
    ahead += CONFIRM;
    const before = await provider.refreshes();
    await Promise.all(nodes.map(({ logins }) => logins.confirm()));
    const { accepted, refused } = await provider.refreshes();
    assert.equal(refused, before.refused);
    const people = await first.state.people();
    assert.equal(accepted - before.accepted, people.length);
    const left = people.filter(
      ({ confirmedAt, refusedAt }) => clock() - confirmedAt > CONFIRM / 2 || refusedAt,
    );
    assert.deepEqual(left, []);
  }
});

test('a logout token counts at one node, however many get it at the same time', async () => {
  await logIn('cleo', first, second);
  const now = Math.floor(clock() / 1000);
  const token = await provider.logoutToken({ sub: 'sub-cleo', iat: now, exp: now + 120 });
  const logOut = ({ logins }: Node) => logins.browsers.logout('corp', token);
  const ended = await Promise.all([first, second, first, second].map(logOut));
  assert.equal(ended.filter((one) => one !== undefined).length, 1);
  assert.deepEqual([await logOut(first), await logOut(second)], [undefined, undefined]);
});

test('a logout at one node confirms somebody who has logged in at the other one', async () => {
  await logIn('bo', first, first);
  const now = () => Math.floor(clock() / 1000);
  const logout = () => provider.logoutToken({ sub: 'sub-bo', iat: now(), exp: now() + 120 });
  const ended = await second.logins.browsers.logout('corp', await logout());
  assert.deepEqual(ended, [{ name: 'bo', isSuspended: false }]);
  await provider.revoke('sub-bo');
  assert.deepEqual(await second.logins.browsers.logout('corp', await logout()), [
    { name: 'bo', isSuspended: true },
  ]);
  assert.notEqual((await first.state.person('bo'))?.refusedAt, null);
});
