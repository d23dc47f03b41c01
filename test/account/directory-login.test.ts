import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { unlinkPerson } from '../../src/auth/admin/people.ts';
import { askAuth } from '../support/ask-auth.ts';
import { Browser } from '../support/browser.ts';
import { DirectoryMirror, PAY } from '../support/directory-mirror.ts';
import { waitFor } from '../support/wait-for.ts';

const mirror = await DirectoryMirror.start({ after });
const { hubgate, provider } = mirror;
const { issuer } = provider;

function goesTo(text: string): string {
  return /http-equiv="refresh" content="0; url=([^"]*)"/.exec(text)?.[1] ?? assert.fail(text);
}

test('somebody logs in at the provider, gets to the wanted page, and makes a token with their groups', async () => {
  await provider.setPerson('sub-ana', { preferred_username: 'ana', groups: ['payments'] });
  const browser = new Browser(hubgate);
  const back = await mirror.logIn(browser, 'sub-ana', '/account/connect?client=podman');
  assert.equal(back.status, 200);
  assert.equal(goesTo(back.text), '/account/connect?client=podman');
  assert.match(back.text, /<a href="\/account\/connect\?client=podman">/);
  // It is no redirect: a browser would send no strict cookie to its place.
  assert.equal(back.headers.location, undefined);
  const [session = '', ended = ''] = back.headers['set-cookie'] ?? [];
  assert.match(
    session,
    /^__Host-hubgate=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  );
  assert.match(ended, /^__Host-hubgate-login=; .*Max-Age=0$/);
  assert.match((await browser.get('/account/')).text, /<dd>ana<\/dd>\s*<dt>Login<\/dt><dd>corp<\/dd>/);
  const csrf = await browser.csrf('/account/tokens');
  const made = await browser.post('/account/tokens', { csrf, label: 'laptop', days: '7' });
  const password = /hubgate_[0-9A-Za-z]{46}/.exec(made.text)?.[0] ?? assert.fail(made.text);
  assert.equal((await hubgate.ask(PAY, { user: 'ana', password })).status, 200);
  assert.equal((await browser.post('/account/logout', { csrf })).headers.location, '/account/login');
  assert.equal((await browser.get('/account/')).status, 303);
  assert.equal((await hubgate.ask(PAY, { user: 'ana', password })).status, 200);
});

test('the next owner of a name sees no requests of the former one', async () => {
  const password = await mirror.tokenOf(await mirror.loggedIn('nan'));
  assert.equal((await hubgate.ask(PAY, { user: 'nan', password })).status, 200);
  const shown = async (browser: Browser) => (await browser.get('/account/activity')).text;
  const former = await mirror.loggedIn('nan');
  await waitFor(async () => (await shown(former)).includes('acme/pay'));
  await unlinkPerson(hubgate.paths, 'nan');
  hubgate.ahead += 1_000;
  await provider.setPerson('sub-other-nan', { preferred_username: 'nan', groups: ['payments'] });
  const next = new Browser(hubgate);
  assert.equal((await mirror.logIn(next, 'sub-other-nan')).status, 200);
  assert.equal((await former.get('/account/activity')).status, 303);
  // Each login has a line of its own.
  await waitFor(async () => (await shown(next)).includes('<td>login</td>'));
  assert.doesNotMatch(await shown(next), /acme\/pay|laptop/);
  const own = await mirror.tokenOf(next);
  assert.equal((await hubgate.ask(PAY, { user: 'nan', password: own })).status, 200);
  await waitFor(async () => (await shown(next)).includes('acme/pay'));
});

test('a login at the provider leads only to pages of the account', async () => {
  await provider.setPerson('sub-bo', { preferred_username: 'bo', groups: [] });
  for (const to of [
    'https://elsewhere.example/',
    '//elsewhere.example',
    '/\\elsewhere.example',
    '/account//elsewhere.example',
    '/account/../v2/',
    '/account/;url=https://elsewhere.example',
    '/account/%2f%2felsewhere.example',
    '/account/" onload="x',
    'javascript:alert(1)',
    '/v2/',
  ]) {
    const browser = new Browser(hubgate);
    assert.equal(new URL(await mirror.begin(browser, to)).origin, issuer, to);
    const back = await mirror.logIn(browser, 'sub-bo', to);
    assert.equal(goesTo(back.text), '/account/', to);
    assert.doesNotMatch(back.text, /elsewhere|onload|javascript/, to);
  }
});

test('auth begins no login that leads elsewhere, even if the account page asks for it', async () => {
  for (const returnTo of [
    'https://elsewhere.example/',
    '//elsewhere.example',
    '/account//elsewhere.example',
    '/v2/',
  ]) {
    const refused = await askAuth(hubgate.paths.authSocket, '/login/begin', { login: 'corp', returnTo });
    assert.equal(refused.status, 400, returnTo);
  }
});

test('after a wrong password the page still offers the login at the provider', async () => {
  const browser = new Browser(hubgate);
  const to = '/account/tokens';
  const { status, text } = await browser.post('/account/login', { to, name: 'local', password: 'wrong' });
  assert.equal(status, 403);
  assert.match(text, /href="\/account\/login\/corp\?to=%2Faccount%2Ftokens">Log in with corp/);
});

test('the login page leads to the provider, with PKCE and a cookie that comes back', async () => {
  const page = await hubgate.ask('/account/login?to=/account/tokens');
  assert.match(page.body.toString(), /href="\/account\/login\/corp\?to=%2Faccount%2Ftokens"/);
  const { status, headers } = await hubgate.ask('/account/login/corp?to=/account/tokens');
  assert.equal(status, 303);
  const location = new URL(String(headers.location));
  assert.equal(location.origin, issuer);
  assert.equal(location.searchParams.get('code_challenge_method'), 'S256');
  assert.match(
    String(headers['set-cookie']),
    /^__Host-hubgate-login=[^;]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
  );
});

test('an answer of the provider counts once, in the browser that began the login, and for that login', async () => {
  await provider.setPerson('sub-cy', { preferred_username: 'cy', groups: [] });
  await provider.logsIn('sub-cy');
  const browser = new Browser(hubgate);
  const back = await provider.browse(await mirror.begin(browser));
  const target = `${back.pathname}${back.search}`;
  const other = new Browser(hubgate);
  await mirror.begin(other);
  const cookies = new Map(browser.cookies);
  for (const [who, path] of [
    [new Browser(hubgate), target],
    [other, target],
    [other, `${back.pathname}?code=x&state=${back.searchParams.get('state')}`],
  ] as const) {
    const refused = await who.get(path, { 'sec-fetch-site': 'cross-site' });
    assert.equal(refused.status, 403);
    assert.doesNotMatch(String(refused.headers['set-cookie']), /__Host-hubgate=/);
  }
  const long = new Browser(hubgate);
  long.cookies.set('__Host-hubgate-login', 'x'.repeat(5_000));
  assert.equal((await long.get(target)).status, 403);
  assert.equal((await browser.get(target)).status, 200);
  const again = new Browser(hubgate);
  for (const [name, value] of cookies) again.cookies.set(name, value);
  const replayed = await again.get(target);
  assert.equal(replayed.status, 403);
  assert.match(replayed.text, /took too long, was finished already, or began in another browser/);
});

test('a name of somebody else is refused with the command of the operator', async () => {
  await provider.setPerson('sub-local', { preferred_username: 'local', groups: [] });
  const refused = await mirror.logIn(new Browser(hubgate), 'sub-local');
  assert.equal(refused.status, 403);
  assert.match(refused.text, /hubgate user link local corp sub-local/);
});

test('there is no login with another name', async () => {
  assert.equal((await hubgate.ask('/account/login/other')).status, 403);
});

test('the session of a person ends within a second when the operator unlinks the person', async () => {
  await provider.setPerson('sub-di', { preferred_username: 'di', groups: [] });
  const browser = new Browser(hubgate);
  assert.equal((await mirror.logIn(browser, 'sub-di')).status, 200);
  assert.equal((await browser.get('/account/')).status, 200);
  await using state = hubgate.openState();
  assert.equal(await state.removePerson('di'), true);
  await waitFor(async () => (await browser.get('/account/')).status === 303);
});
