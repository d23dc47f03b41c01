/** Logouts that the identity provider reports (OpenID Connect Back-Channel Logout 1.0). */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Browser } from '../support/browser.ts';
import { DirectoryMirror, PAY } from '../support/directory-mirror.ts';
import { untilTrue } from '../support/until-true.ts';

const mirror = await DirectoryMirror.start({ after });
const { hubgate, provider } = mirror;

async function hasEnded(browser: Browser): Promise<boolean> {
  return (await browser.get('/account/')).status === 303;
}

test('a logout ends all sessions of the person, and access within a second if the provider says no', async () => {
  const [browser, other] = [await mirror.loggedIn('ana'), await mirror.loggedIn('ana')];
  const stranger = await mirror.loggedIn('bo');
  const password = await mirror.tokenOf(browser);
  const scope = '/token?service=localhost&scope=repository:acme/pay:pull';
  const issued = await hubgate.ask(scope, { user: 'ana', password });
  const { token } = JSON.parse(issued.body.toString());
  assert.equal((await hubgate.ask(PAY, { token })).status, 200);
  await provider.revoke('sub-ana');
  assert.equal(await mirror.logOut(await provider.logoutToken({ sub: 'sub-ana' })), 200);
  for (const one of [browser, other]) assert.equal(await hasEnded(one), true);
  assert.equal(await hasEnded(stranger), false);
  const lasted = await untilTrue(async () => (await hubgate.ask(PAY, { token })).status === 401);
  assert.ok(lasted < 1_000, `${lasted} ms`);
  const refused = await hubgate.ask(scope, { user: 'ana', password });
  assert.equal(refused.status, 401);
  assert.match(
    refused.body.toString(),
    /your login at corp must be confirmed: open https:\/\/localhost:\d+\/account\//,
  );
  assert.equal((await hubgate.ask(PAY, { user: 'ana', password })).status, 401);
});

test('the tokens of somebody who has logged out go on if the provider still says yes', async () => {
  const browser = await mirror.loggedIn('cy');
  const password = await mirror.tokenOf(browser);
  await provider.setPerson('sub-cy', { preferred_username: 'cy', groups: [] });
  assert.equal(await mirror.logOut(await provider.logoutToken({ sub: 'sub-cy' })), 200);
  assert.equal(await hasEnded(browser), true);
  const { status } = await hubgate.ask('/v2/', { user: 'cy', password });
  assert.equal(status, 200);
  // What the provider says at a logout also counts for the groups.
  const lasted = await untilTrue(
    async () => (await hubgate.ask(PAY, { user: 'cy', password })).status === 403,
  );
  assert.ok(lasted < 1_000, `${lasted} ms`);
});

test('a logout while the provider is away ends the sessions, and says nothing about the person', async () => {
  const browser = await mirror.loggedIn('di');
  const password = await mirror.tokenOf(browser);
  const token = await provider.logoutToken({ sub: 'sub-di' });
  // The mirror must know the keys of the provider.
  assert.equal(await mirror.logOut(await provider.logoutToken({ sub: 'sub-nobody' })), 200);
  await provider.silence('everything');
  assert.equal(await mirror.logOut(token), 200);
  await provider.silence('nothing');
  assert.equal(await hasEnded(browser), true);
  assert.equal((await hubgate.ask(PAY, { user: 'di', password })).status, 200);
});

const NOW = Math.floor(Date.now() / 1000);
const WRONG: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'of another audience': { aud: 'another-client' },
  'of another issuer': { iss: 'https://elsewhere.example' },
  'with a nonce, as an ID token has': { nonce: 'abc' },
  'that has expired': { iat: NOW - 600, exp: NOW - 300 },
  'that is old, and expires late': { iat: NOW - 3_600, exp: NOW + 3_600 },
  'from the future': { iat: NOW + 3_600, exp: NOW + 7_200 },
  'without a time': { iat: undefined },
  'without an id': { jti: undefined },
  'without the event of a logout': { events: { 'http://schemas.openid.net/event/other': {} } },
  'without events': { events: undefined },
  'of nobody': { sub: undefined },
};

for (const [what, claims] of Object.entries(WRONG))
  test(`a logout token ${what} is refused`, async () => {
    const browser = await mirror.loggedIn('ed');
    const token = await provider.logoutToken({ sub: 'sub-ed', ...claims });
    assert.equal(await mirror.logOut(token), 400);
    assert.equal(await hasEnded(browser), false);
  });

test('a forged logout token is refused: by another key, without a signature, changed, or no token', async () => {
  const browser = await mirror.loggedIn('ed');
  const token = await provider.logoutToken({ sub: 'sub-nobody' });
  const [header = '', , signature = ''] = token.split('.');
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  const changed = encoded({ ...payload, sub: 'sub-ed' });
  for (const forged of [
    await provider.logoutToken({ sub: 'sub-ed' }, true),
    `${encoded({ alg: 'none', typ: 'logout+jwt' })}.${changed}.`,
    `${encoded({ alg: 'HS256', kid: 'signing-key' })}.${changed}.${signature}`,
    `${header}.${changed}.${signature}`,
    'a.b.c',
    '',
    'x'.repeat(17 * 1024),
  ])
    assert.equal(await mirror.logOut(forged), 400, forged.slice(0, 200));
  assert.equal(await hasEnded(browser), false);
});

test('a logout of one session, which is not the newest, ends that one and no other', async () => {
  const browsers = [await mirror.loggedIn('gus'), await mirror.loggedIn('gus'), await mirror.loggedIn('gus')];
  const [first, second, third] = browsers;
  assert.ok(first && second && third);
  await using state = hubgate.openState();
  const sids = (await state.sessions()).filter(({ user }) => user === 'gus').map(({ sid }) => sid);
  assert.equal(new Set(sids).size, 3);
  // A session that began before they had ids may belong to any of them.
  const before = (await state.sessions()).find(({ user }) => user === 'gus') ?? assert.fail();
  await state.putSession({ ...before, hash: 'of before', sid: null });
  const stranger = await mirror.loggedIn('hal');
  assert.equal(await mirror.logOut(await provider.logoutToken({ sid: sids[0] })), 200);
  const ended = await Promise.all([first, second, third, stranger].map(hasEnded));
  assert.deepEqual(ended, [true, false, false, false]);
  assert.equal(await state.session('of before'), undefined);
  assert.equal(await mirror.logOut(await provider.logoutToken({ sid: 'of nobody' })), 200);
  assert.equal(await hasEnded(second), false);
  assert.equal(await mirror.logOut(await provider.logoutToken({ sid: sids[1], sub: 'sub-gus' })), 200);
  assert.deepEqual(await Promise.all([second, third].map(hasEnded)), [true, true]);
});

test('a logout of a session that has ended here before still asks about the person', async () => {
  const browser = await mirror.loggedIn('ivo');
  const password = await mirror.tokenOf(browser);
  await using state = hubgate.openState();
  const { sid } = (await state.person('ivo')) ?? assert.fail();
  await browser.post('/account/logout', { csrf: await browser.csrf('/account/tokens') });
  assert.equal(await hasEnded(browser), true);
  await provider.revoke('sub-ivo');
  assert.equal(await mirror.logOut(await provider.logoutToken({ sid })), 200);
  await untilTrue(async () => (await hubgate.ask(PAY, { user: 'ivo', password })).status === 401);
});

test('a logout token counts once', async () => {
  await mirror.loggedIn('fay');
  const token = await provider.logoutToken({ sub: 'sub-fay' });
  assert.equal(await mirror.logOut(token), 200);
  const browser = await mirror.loggedIn('fay');
  assert.equal(await mirror.logOut(token), 400);
  assert.equal(await hasEnded(browser), false);
});

test('a logout for a login that does not exist is refused', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const send = `logout_token=${await provider.logoutToken({ sub: 'sub-ed' })}`;
  const { status } = await hubgate.ask('/account/login/other/logout', { method: 'POST', headers, send });
  assert.equal(status, 400);
});
