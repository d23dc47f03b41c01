/** An identity provider says by SCIM that somebody has left, as Entra ID and Okta write it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { StoredPerson } from '../../src/auth/state/stored-person.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const PAY = '/v2/acme/pay/manifests/latest';
const SECRET = 'a-secret-of-the-provider-0123456789';
const PATCH_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
const POLICY = 'allow: [{ id: pay, pull: acme/pay, to: "group:corp/payments", private: true }]';
const OIDC = { issuer: 'http://127.0.0.1:1', clientId: 'hubgate' };

const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-scim-'));
const scimTokenFile = path.join(directory, 'token');
const short = path.join(directory, 'short');
await writeFile(scimTokenFile, `${SECRET}\n`, { mode: 0o600 });
await writeFile(short, 'short\n', { mode: 0o600 });
const { hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    privateImages: { 'acme/pay': imageOf() },
    configuration: {
      login: {
        corp: { oidc: { ...OIDC, scimTokenFile } },
        weak: { oidc: { ...OIDC, scimTokenFile: short } },
        plain: { oidc: OIDC },
      },
    },
  },
);
after(() => rm(directory, { recursive: true }));
await hubgate.startAccount();

interface Sent {
  readonly body?: object | string;
  readonly secret?: string;
  readonly login?: string;
}

async function scim(method: string, target: string, { body, secret = SECRET, login = 'corp' }: Sent = {}) {
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/scim+json' };
  const answer = await hubgate.send({
    ...{ path: `/account/scim/${login}${target}`, method, headers },
    ...(body !== undefined && { send: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = answer.body.toString();
  return { ...answer, text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
}

async function idOf(name: string): Promise<string> {
  const filter = encodeURIComponent(`userName eq "${name}"`);
  const { json } = await scim('GET', `/Users?filter=${filter}`);
  assert.equal(json.totalResults, 1, name);
  return json.Resources[0].id;
}

/** Binds a name as a login does, and gives the person a token. */
async function known(name: string, more: Partial<StoredPerson> = {}) {
  await using state = hubgate.openState();
  const person: StoredPerson = {
    ...{ name, login: 'corp', stableId: `sub-${name}`, groups: ['payments'], confirmedAt: Date.now() },
    ...{ refusedAt: null, refresh: 'sealed', sid: null, linkedAt: null, namedAt: null, ...more },
  };
  await state.putPerson(person);
  const { text: password } = await hubgate.giveToken(name, {
    ownerId: `${person.login}/${person.stableId}`,
  });
  const token = async () => {
    const { status, body } = await hubgate.ask('/token?scope=repository:acme/pay:pull', {
      user: name,
      password,
    });
    return { status, ...JSON.parse(body.toString()) };
  };
  await waitFor(async () => (await token()).status === 200);
  return { token, person };
}

const USER_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:User';

/**
 * What Entra ID sends without and with its newer form, and what Okta sends. RFC 7644, section 3.10, lets a
 * client write the schema before the name of an attribute.
 */
const DEACTIVATIONS: Readonly<Record<string, object>> = {
  entra: { schemas: [PATCH_SCHEMA], Operations: [{ op: 'Replace', path: 'active', value: 'False' }] },
  'entra-new': { schemas: [PATCH_SCHEMA], Operations: [{ op: 'replace', path: 'active', value: false }] },
  okta: { schemas: [PATCH_SCHEMA], Operations: [{ op: 'replace', value: { active: false } }] },
  'no-path': { Operations: [{ op: 'replace', path: null, value: { active: false } }] },
  'full-path': { Operations: [{ op: 'replace', path: `${USER_SCHEMA}:active`, value: 'False' }] },
  'full-name': { Operations: [{ op: 'replace', value: { [`${USER_SCHEMA.toUpperCase()}:Active`]: false } }] },
  'in-schema': { Operations: [{ op: 'replace', path: USER_SCHEMA, value: { active: false } }] },
};

for (const [client, body] of Object.entries(DEACTIVATIONS))
  test(`invariant 13: who is deactivated as ${client} does it pulls nothing more, on open connections too`, async (t) => {
    const { token } = await known(client);
    const { token: issued } = await token();
    assert.equal((await hubgate.ask(PAY, { token: issued })).status, 200);
    const id = await idOf(client);
    const { status, json } = await scim('PATCH', `/Users/${id}`, { body });
    assert.deepEqual([status, json.id, json.active], [200, id, false]);
    const answered = performance.now();
    await waitFor(async () => (await hubgate.ask(PAY, { token: issued })).status === 401);
    t.diagnostic(`refused ${Math.round(performance.now() - answered)} ms after the answer`);
    const { status: refused, errors } = await token();
    assert.equal(refused, 401);
    assert.match(errors[0].message, /^your login at corp must be confirmed: open https:/);
    assert.equal((await scim('GET', `/Users/${id}`)).json.active, false);
    // The first of them ends a person; to say it again changes nothing.
    await scim('PATCH', `/Users/${id}`, { body });
    const lines = async () =>
      (await hubgate.audit()).filter(
        ({ action, subject }) => action === 'logout' && subject === `user:${client}`,
      );
    await waitFor(async () => (await lines()).length > 0);
    assert.deepEqual(
      (await lines()).map(({ login, reason, method }) => [login, reason, method]),
      [['corp', 'deactivated by the provider', 'PATCH']],
    );
  });

test('a user that is put or deleted without being active ends, and one who is renamed is found by the same id', async () => {
  for (const [name, method] of [
    ['put', 'PUT'],
    ['deleted', 'DELETE'],
  ] as const) {
    const { token, person } = await known(name);
    const id = await idOf(name);
    {
      await using state = hubgate.openState();
      assert.equal(await state.updatePerson(name, { ...person, name: `${name}-anew` }), true);
    }
    const body = { schemas: [], userName: name, active: false };
    const { status } = await scim(method, `/Users/${id}`, method === 'PUT' ? { body } : {});
    assert.equal(status, method === 'PUT' ? 200 : 204);
    await waitFor(async () => (await token()).status === 401);
  }
});

test('a change of anything else deactivates nobody, and what nobody understands is refused', async () => {
  const { token } = await known('stays');
  const id = await idOf('stays');
  for (const value of [
    { Operations: [{ op: 'Replace', path: 'displayName', value: 'False' }] },
    { Operations: [{ op: 'Add', path: 'active', value: 'True' }] },
    { Operations: [] },
  ])
    assert.deepEqual((await scim('PATCH', `/Users/${id}`, { body: value })).json.active, true);
  for (const body of [
    '',
    '[]',
    'null',
    '{',
    {},
    { Operations: ['active'] },
    { Operations: [{ op: 'replace', path: 'active', value: 'maybe' }] },
    { Operations: [{ op: 'remove', path: 'active' }] },
    { Operations: [{ op: 'remove', path: `${USER_SCHEMA}:active` }] },
    { Operations: [{ op: 'replace', path: ['active'], value: false }] },
    { Operations: [{ op: 'move', path: 'active', value: false }] },
  ])
    assert.equal((await scim('PATCH', `/Users/${id}`, { body })).status, 400, JSON.stringify(body));
  assert.equal((await scim('PUT', `/Users/${id}`, { body: '[false]' })).status, 400);
  assert.equal((await token()).status, 200);
});

test('a provider adds and finds people, and only those of its own login', async () => {
  await known('mine');
  await known('foreign', { login: 'plain' });
  const foreign = encodeURIComponent('userName eq "foreign"');
  assert.equal((await scim('GET', `/Users?filter=${foreign}`)).json.totalResults, 0);
  const bySub = encodeURIComponent('externalId eq "sub-mine"');
  assert.equal((await scim('GET', `/Users?filter=${bySub}`)).json.Resources[0].userName, 'mine');
  const page = (await scim('GET', '/Users?startIndex=1&count=1')).json;
  assert.deepEqual([page.itemsPerPage, page.Resources.length], [1, 1]);
  assert.doesNotMatch((await scim('GET', '/Users')).text, /foreign|sealed|payments/);
  assert.equal((await scim('GET', `/Users?filter=${encodeURIComponent('title pr')}`)).status, 400);
  // Nobody has logged in by this name yet.
  const added = await scim('POST', '/Users', { body: { userName: 'later', externalId: 'x', active: true } });
  assert.deepEqual([added.status, added.json.userName, added.json.active], [201, 'later', true]);
  const { token } = await known('later');
  const { json } = await scim('PATCH', `/Users/${added.json.id}`, { body: DEACTIVATIONS.okta ?? {} });
  assert.deepEqual([json.id, json.active], [added.json.id, false]);
  await waitFor(async () => (await token()).status === 401);
  const gone = await scim('GET', `/Users/p.${Buffer.from('sub-foreign').toString('base64url')}`);
  assert.equal(gone.status, 404);
});

test('a client learns what it may use, and gets 404 for everything else', async () => {
  const config = await scim('GET', '/ServiceProviderConfig');
  assert.deepEqual([config.status, config.json.patch.supported], [200, true]);
  assert.equal(config.headers['content-type'], 'application/scim+json');
  assert.equal((await scim('GET', '/ResourceTypes')).json.Resources[0].endpoint, '/Users');
  assert.equal((await scim('GET', '/Groups')).json.totalResults, 0);
  for (const target of ['', '/', '/Bulk', '/Users/', '/Users/x', '/Users/n.', '/Users/p.eA/y', '/Groups/1'])
    assert.equal((await scim('GET', target)).status, 404, target);
  for (const method of ['POST', 'PATCH'])
    assert.equal((await scim(method, '/Groups/1', { body: {} })).status, 404);
  assert.equal((await scim('OPTIONS', '/Users')).status, 405);
});

test('without the secret every request gets the same answer, whatever it asks for', async () => {
  const { token } = await known('kept');
  const id = await idOf('kept');
  const wrong: Sent[] = [
    { secret: '' },
    { secret: 'wrong' },
    { secret: `${SECRET}x` },
    { secret: 'short', login: 'weak' },
    { login: 'plain' },
    { login: 'nobody' },
    { secret: 'é'.repeat(40) },
  ];
  const answers = new Set<string>();
  for (const sent of wrong)
    for (const [method, target] of [
      ['GET', `/Users/${id}`],
      ['GET', '/Users/n.eA'],
      ['PATCH', `/Users/${id}`],
      ['DELETE', '/nothing'],
    ] as const) {
      const body = method === 'PATCH' ? { body: DEACTIVATIONS.okta ?? {} } : {};
      const { status, text, headers } = await scim(method, target, { ...body, ...sent });
      assert.equal(status, 401);
      answers.add(`${text} ${headers['www-authenticate']}`);
    }
  assert.deepEqual([...answers].length, 1);
  assert.match([...answers].join(), /bearer token.*Bearer$/);
  // Neither a session nor another login of the mirror is the secret.
  const basic = await hubgate.ask('/account/scim/corp/Users', { user: 'ana' });
  assert.equal(basic.status, 401);
  assert.equal((await token()).status, 200);
  assert.ok(hubgate.log.some(({ msg }) => msg.includes('the token of SCIM is too short')));
  assert.doesNotMatch(JSON.stringify(hubgate.log), new RegExp(SECRET));
});

test('a mirror without SCIM has nothing there', async (t) => {
  const mirror = await withMirror(t, { policy: POLICY, configuration: { login: { corp: { oidc: OIDC } } } });
  await mirror.hubgate.startAccount();
  const headers = { authorization: `Bearer ${SECRET}` };
  assert.equal((await mirror.hubgate.ask('/account/scim/corp/Users', { headers })).status, 404);
});
