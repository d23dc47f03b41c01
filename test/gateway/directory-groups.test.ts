import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { StoredPerson } from '../../src/auth/state/stored-person.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const HOUR = 60 * 60_000;
const PAY = '/v2/acme/pay/manifests/latest';
const LDAP = { url: 'ldap://127.0.0.1:1', people: 'ou=people,dc=corp' };

const { hubgate } = await withMirror(
  { after },
  {
    policy: `
allow:
  - { id: base, pull: library/**, to: authenticated }
  - { id: pay, pull: acme/pay, to: "group:corp/payments *", private: true }
`,
    privateImages: { 'acme/pay': imageOf() },
    configuration: { login: { corp: { ldap: LDAP, offline: '24h' } } },
  },
);

function person(name: string, groups: readonly string[]): StoredPerson {
  const now = Date.now() + hubgate.ahead;
  return {
    ...{ name, login: 'corp', stableId: `id-${name}`, groups, confirmedAt: now, refusedAt: null },
    ...{ refresh: null, sid: null, linkedAt: null, namedAt: null },
  };
}

/** Binds a name as a login does, and gives the person a token. */
async function known(name: string, groups: readonly string[]) {
  await using state = hubgate.openState();
  await state.putPerson(person(name, groups));
  const { text: password } = await hubgate.giveToken(name, {
    ownerId: `corp/id-${name}`,
    expiresAt: Date.now() + 100 * HOUR,
  });
  return {
    password,
    token: async () => {
      const path = '/token?scope=repository:acme/pay:pull';
      const { status, body } = await hubgate.ask(path, { user: name, password });
      return { status, ...JSON.parse(body.toString()) };
    },
    pull: async () => (await hubgate.ask(PAY, { user: name, password })).status,
    update: async (change: Partial<StoredPerson>) => {
      await using again = hubgate.openState();
      const before = (await again.person(name)) ?? assert.fail();
      assert.equal(await again.updatePerson(name, { ...before, ...change }), true);
    },
  };
}

test('a group of a directory grants what the policy says, as text and for no other name', async () => {
  const zoe = await known('zoe', ['payments *']);
  const { status, scope, token } = await zoe.token();
  assert.deepEqual([status, scope], [200, 'repository:acme/pay:pull']);
  assert.equal((await hubgate.ask(PAY, { token })).status, 200);
  const payload = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  assert.doesNotMatch(JSON.stringify(payload), /payments/);
  // A pattern would match it, and so would a comparison that ignores case.
  const bo = await known('bo', ['payments x', 'Payments *', 'payments', 'other/payments *']);
  assert.deepEqual([(await bo.token()).scope, await bo.pull()], ['', 403]);
});

test('invariant 13: a membership that is removed ends within a second, for tokens that were issued before', async () => {
  const cy = await known('cy', ['payments *']);
  const { token } = await cy.token();
  assert.equal((await hubgate.ask(PAY, { token })).status, 200);
  await cy.update({ groups: [] });
  await waitFor(async () => (await hubgate.ask(PAY, { token })).status === 403);
  await cy.update({ groups: ['payments *'] });
  await waitFor(async () => (await hubgate.ask(PAY, { token })).status === 200);
});

test('what a directory refuses ends within a second, and the client is told what to do', async () => {
  const di = await known('di', ['payments *']);
  const { token } = await di.token();
  await di.update({ refusedAt: Date.now() });
  await waitFor(async () => (await hubgate.ask(PAY, { token })).status === 401);
  const { status, errors } = await di.token();
  assert.equal(status, 401);
  const words = /^your login at corp must be confirmed: open https:\/\/localhost:\d+\/account\/$/;
  assert.match(errors[0].message, words);
  const direct = await hubgate.ask(PAY, { user: 'di', password: di.password });
  assert.equal(direct.status, 401);
  assert.match(JSON.parse(direct.body.toString()).errors[0].message, words);
  await di.update({ refusedAt: null });
  await waitFor(async () => (await di.token()).status === 200);
});

test('nobody becomes a person by a name: an entry of the users file has neither tokens nor groups of them', async () => {
  await using state = hubgate.openState();
  await state.putPerson(person('ana', ['payments *']));
  const { text: password } = await hubgate.giveToken('ana', { ownerId: 'corp/id-ana' });
  assert.equal((await hubgate.ask('/token', { user: 'ana', password })).status, 401);
  assert.equal((await hubgate.ask(PAY, { user: 'ana' })).status, 403);
  await state.updatePerson('ana', { ...person('ana', ['payments *']), linkedAt: Date.now() });
  await waitFor(async () => (await hubgate.ask(PAY, { user: 'ana' })).status === 200);
  assert.equal((await hubgate.ask('/token', { user: 'ana', password })).status, 200);
  await state.removePerson('ana');
  await waitFor(async () => (await hubgate.ask(PAY, { user: 'ana' })).status === 403);
});

test('a person who is renamed keeps the tokens, and whoever gets the old name has none of them', async () => {
  const ed = await known('ed', ['payments *']);
  await ed.update({ name: 'eddy' });
  const { token } = await ed.token();
  const { sub } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  assert.equal(sub, 'user:eddy');
  await waitFor(async () => (await hubgate.ask(PAY, { token })).status === 200);
  await using state = hubgate.openState();
  await state.putPerson({ ...person('ed', []), stableId: 'id-another' });
  assert.equal((await ed.token()).status, 200);
});

// It is last, because it moves the clock.
test('people whom the directory does not confirm go on for as long as offline says, and are suspended then', async () => {
  const fay = await known('fay', ['payments *']);
  hubgate.ahead += 23 * HOUR;
  const { token, status } = await fay.token();
  assert.equal(status, 200);
  assert.equal((await hubgate.ask(PAY, { token })).status, 200);
  hubgate.ahead += HOUR + 1;
  assert.equal((await fay.token()).status, 401);
  await using state = hubgate.openState();
  await state.confirmPeople('corp', [{ name: 'fay', refresh: null }], Date.now() + hubgate.ahead);
  await waitFor(async () => (await fay.token()).status === 200);
  await waitFor(async () => (await fay.pull()) === 200);
});
