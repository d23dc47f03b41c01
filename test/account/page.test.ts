import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { askAuth } from '../support/ask-auth.ts';
import { Browser } from '../support/browser.ts';
import { imageOf } from '../support/image.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';
const CHEAP = { memory: 2 ** 20, passes: 2 };

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    users: ['ana', 'jin', 'zoe', 'max', 'lea', 'tom', 'kim'],
    images: { 'library/alpine': imageOf() },
  },
);
await hubgate.startAccount();

async function loggedIn(name: string): Promise<Browser> {
  const browser = new Browser(hubgate);
  const { status, headers } = await browser.logIn(name);
  assert.deepEqual([status, headers.location], [303, '/account/']);
  return browser;
}

test('somebody logs in, makes a token, sees it once, revokes it and logs out', async () => {
  const browser = await loggedIn('ana');
  const csrf = await browser.csrf('/account/tokens');
  const form = { csrf, label: 'my laptop', days: '7', pull: 'library/*', push: '', from: '' };
  const made = await browser.post('/account/tokens', form);
  const token = /hubgate_[0-9A-Za-z]{46}/.exec(made.text)?.[0] ?? assert.fail(made.text);
  assert.equal((await hubgate.ask(ALPINE, { user: 'ana', password: token })).status, 200);
  const list = await browser.get('/account/tokens');
  assert.match(list.text, /my laptop/);
  assert.match(list.text, /pull docker\.io\/library\/\*/);
  assert.doesNotMatch(list.text, new RegExp(token));
  const id = /name="id"\s+value="(\w+)"/.exec(list.text)?.[1] ?? assert.fail(list.text);
  assert.equal((await browser.post('/account/tokens/revoke', { csrf, id })).status, 303);
  await waitFor(async () => (await hubgate.ask(ALPINE, { user: 'ana', password: token })).status === 401);
  const session = new Map(browser.cookies);
  assert.equal((await browser.post('/account/logout', { csrf })).headers.location, '/account/login');
  assert.equal(browser.cookies.size, 0);
  for (const [name, value] of session) browser.cookies.set(name, value);
  assert.equal((await browser.get('/account/')).status, 303);
});

test('a page that needs a login leads to the login, and then back to the page', async () => {
  const browser = new Browser(hubgate);
  const { status, headers } = await browser.get('/account/connect?client=podman');
  assert.equal(status, 303);
  const login = String(headers.location);
  assert.equal(login, `/account/login?to=${encodeURIComponent('/account/connect?client=podman')}`);
  const { text } = await browser.get(login);
  const to = /name="to" value="([^"]+)"/.exec(text)?.[1] ?? assert.fail(text);
  const done = await browser.post('/account/login', { to, name: 'ana', password: PASSWORD });
  assert.deepEqual([done.status, done.headers.location], [303, '/account/connect?client=podman']);
});

test('no link makes the login lead to another site', async () => {
  const targets = [
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    '/account/../../evil',
    '/account//evil.example',
    '/account/\\evil',
    '/account/%0d%0aset-cookie:x',
    '/account/\r\nlocation: https://evil.example',
    'javascript:alert(1)',
    '/accounts/',
    ' /account/x',
    `/account/${'a'.repeat(300)}`,
  ];
  for (const to of targets) {
    const browser = new Browser(hubgate);
    const { text } = await browser.get(`/account/login?to=${encodeURIComponent(to)}`);
    assert.match(text, /name="to" value="\/account\/"/, to);
    const { headers } = await browser.post('/account/login', { to, name: 'ana', password: PASSWORD });
    assert.equal(headers.location, '/account/', to);
  }
});

test('nothing happens for a page of another site, whatever it can send', async () => {
  const browser = await loggedIn('jin');
  const csrf = await browser.csrf();
  const own = `https://localhost:${hubgate.port}`;
  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'cross-site', origin: own },
    { 'sec-fetch-site': '' },
  ];
  const old: Record<string, string>[] = [
    {},
    { origin: 'null' },
    { origin: 'https://evil.example' },
    { origin: `http://localhost:${hubgate.port}` },
    { origin: 'https://localhost' },
    { origin: `${own}.evil.example` },
  ];
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const send = new URLSearchParams({ csrf }).toString();
  const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
  for (const headers of [...foreign, ...old]) {
    const host = `localhost:${hubgate.port}`;
    const request = {
      path: '/account/logout',
      method: 'POST',
      headers: { host, cookie, ...type, ...headers },
    };
    assert.equal((await hubgate.send({ ...request, send })).status, 403, JSON.stringify(headers));
  }
  // A login that another site makes would show its victim the pages of the attacker.
  const forced = await new Browser(hubgate).post(
    '/account/login',
    { name: 'jin', password: PASSWORD },
    { 'sec-fetch-site': 'cross-site' },
  );
  assert.deepEqual([forced.status, forced.headers['set-cookie']], [403, undefined]);
  assert.equal((await browser.get('/account/')).status, 200);
  const request = { path: '/account/logout', method: 'POST', headers: { cookie, ...type, origin: own } };
  const headers = { ...request.headers, host: `localhost:${hubgate.port}` };
  assert.equal((await hubgate.send({ ...request, headers, send })).status, 303);
});

test('a form without the CSRF token of its session changes nothing', async () => {
  const [browser, other] = [await loggedIn('zoe'), await loggedIn('zoe')];
  const { id } = await hubgate.giveToken('zoe');
  for (const csrf of ['', 'x'.repeat(1_000), await other.csrf()]) {
    const form = { csrf, id, label: 'x', days: '1', client: 'docker' };
    const password = { current: PASSWORD, password: 'a new long password', again: 'a new long password' };
    for (const path of ['tokens', 'tokens/revoke', 'password', 'connect', 'logout']) {
      const { status } = await browser.post(`/account/${path}`, { ...form, ...password });
      assert.ok(status === 400 || status === 403, `${path}: ${status}`);
    }
  }
  assert.equal((await browser.get('/account/')).status, 200);
  await using state = hubgate.openState();
  assert.deepEqual(
    (await state.tokens()).filter(({ owner }) => owner === 'zoe').map((token) => token.id),
    [id],
  );
});

test('the cookie of a session belongs to this host alone, and no program of a page can read it', async () => {
  const { headers } = await new Browser(hubgate).logIn('max');
  const [cookie = '', ...more] = headers['set-cookie'] ?? [];
  assert.equal(more.length, 0);
  const [pair = '', ...attributes] = String(cookie).split('; ');
  assert.match(pair, /^__Host-hubgate=[A-Za-z0-9_-]{43}$/);
  assert.deepEqual(attributes.slice(0, 4), ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Strict']);
  assert.match(attributes[4] ?? '', /^Max-Age=28[78]\d\d$/);
  assert.equal(attributes.length, 5);
});

test('a session that was there before a login is not the session after it, and is over', async () => {
  const victim = new Browser(hubgate);
  const attacker = await loggedIn('max');
  for (const [name, value] of attacker.cookies) victim.cookies.set(name, value);
  const before = victim.cookies.get('__Host-hubgate');
  await victim.logIn('ana');
  assert.notEqual(victim.cookies.get('__Host-hubgate'), before);
  assert.equal((await attacker.get('/account/')).status, 303);
  // An id that somebody invented does not become a session either.
  const invented = new Browser(hubgate);
  invented.cookies.set('__Host-hubgate', 'x'.repeat(43));
  await invented.logIn('ana');
  assert.notEqual(invented.cookies.get('__Host-hubgate'), 'x'.repeat(43));
});

test('a session of another mirror, two cookies, and a malformed one are no login', async (t) => {
  const other = await withMirror(t, { policy: 'allow: []' });
  await other.hubgate.startAccount();
  const elsewhere = new Browser(other.hubgate);
  await elsewhere.logIn('ana');
  const own = (await loggedIn('ana')).cookies.get('__Host-hubgate') ?? '';
  const foreign = elsewhere.cookies.get('__Host-hubgate') ?? assert.fail();
  for (const cookie of [
    `__Host-hubgate=${foreign}`,
    `__Host-hubgate=${own}; __Host-hubgate=${foreign}`,
    `hubgate=${own}`,
    `__host-hubgate=${own}`,
    `__Host-hubgate="${own}"`,
    `__Host-hubgate=${own}x`,
    `__Host-hubgate=`,
  ])
    assert.equal((await new Browser(hubgate).get('/account/', { cookie })).status, 303, cookie);
});

test('every answer says what browsers must enforce, and nothing is stored or framed', async () => {
  const browser = await loggedIn('ana');
  for (const path of ['/account/', '/account/login', '/account/style.css', '/account/nothing', '/account']) {
    const { headers, text } = await browser.get(path);
    const policy = String(headers['content-security-policy']);
    for (const part of [
      "default-src 'none'",
      "style-src 'self'",
      "form-action 'self'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ])
      assert.ok(policy.split('; ').includes(part), `${path}: ${policy}`);
    assert.doesNotMatch(policy, /unsafe|script-src/);
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    assert.equal(headers['cache-control'], 'no-store');
    assert.doesNotMatch(text, /<script|style=|\son\w+=/);
  }
});

test('a session ends within a second with its user, and with the password', async () => {
  const [disabled, changed] = [await loggedIn('lea'), await loggedIn('tom')];
  await hubgate.setDisabled('lea', true);
  await hubgate.setPassword('tom', await hashPassword('another long password', CHEAP));
  for (const browser of [disabled, changed])
    await waitFor(async () => (await browser.get('/account/')).status === 303);
});

test('the overview says when the session ends if it is used, and how many tokens end soon', async () => {
  const browser = await loggedIn('max');
  await hubgate.giveToken('max');
  const { text } = await browser.get('/account/');
  const [, end = ''] =
    /ends<\/dt><dd><time datetime="([^"]+)">.*, or after half an hour without use/.exec(text) ?? [];
  const hours = (Date.parse(end) - Date.now()) / 3_600_000;
  assert.ok(hours > 7.9 && hours <= 8, `${end}: ${hours} hours`);
  assert.match(text, /<dd>1, of which 1 ends within two weeks<\/dd>/);
});

test('somebody changes their password, and goes on with another session', async () => {
  const [browser, other] = [await loggedIn('kim'), await loggedIn('kim')];
  const csrf = await browser.csrf();
  const password = 'an entirely new password';
  const form = { csrf, current: PASSWORD, password };
  const differ = await browser.post('/account/password', { ...form, again: 'something else' });
  assert.match(differ.text, /not the same/);
  const wrong = await browser.post('/account/password', { ...form, current: 'wrong', again: password });
  assert.match(wrong.text, /password is wrong/);
  assert.equal((await browser.post('/account/password', { ...form, again: password })).status, 303);
  assert.equal((await browser.get('/account/')).status, 200);
  assert.equal((await other.get('/account/')).status, 303);
  assert.equal((await new Browser(hubgate).logIn('kim', password)).status, 303);
});

test('a machine gets one text to paste, with a token in it if that is wanted', async () => {
  const browser = await loggedIn('ana');
  for (const client of ['docker', 'podman', 'nerdctl', 'crane', 'helm', 'kubernetes']) {
    const { text } = await browser.get(`/account/connect?client=${client}`);
    assert.match(text, new RegExp(`localhost:${hubgate.port}`), client);
    assert.doesNotMatch(text, /hubgate_/);
    const csrf = /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
    const made = await browser.post('/account/connect', { csrf, client, label: `ana’s ${client}` });
    const token = /hubgate_[0-9A-Za-z]{46}/.exec(made.text)?.[0] ?? assert.fail(made.text);
    assert.equal((await hubgate.ask(ALPINE, { user: 'ana', password: token })).status, 200);
  }
  assert.match((await browser.get('/account/tokens')).text, /ana’s podman/);
});

test('pulls are counted as before, and / leads only browsers to the page', async () => {
  const browser = new Browser(hubgate);
  const { status, headers } = await browser.get('/', { accept: 'text/html,*/*' });
  assert.deepEqual([status, headers.location], [303, '/account/']);
  assert.equal((await browser.get('/', { accept: '*/*' })).status, 404);
  assert.equal((await browser.get('/')).status, 404);
  for (const path of ['/accounts', '/account.html', '/Account/', '/v2/account/'])
    assert.notEqual((await browser.get(path)).status, 200, path);
});

test('the distribution API and /token read no cookies', async () => {
  const browser = await loggedIn('ana');
  assert.equal((await browser.get(ALPINE)).status, 401);
  const { text } = await browser.get('/token?service=localhost&scope=repository:library/alpine:pull');
  const [, payload = ''] = JSON.parse(text).token.split('.');
  assert.equal(JSON.parse(Buffer.from(payload, 'base64url').toString()).sub, 'anonymous');
});

test('a machine is shown by its code, and gets its token when its user approves', async () => {
  const { authSocket } = hubgate.paths;
  const begin = async () =>
    (await askAuth(authSocket, '/device/begin', { machine: 'x<b>', address: '10.1.1.1' })).body;
  const poll = (code: unknown) => askAuth(authSocket, '/device/poll', { device_code: code });
  const browser = await loggedIn('ana');
  const csrf = await browser.csrf();
  for (const decision of ['refuse', 'something else', 'approve']) {
    const { device_code: deviceCode, user_code: userCode } = await begin();
    const shown = await browser.get(`/account/device?user_code=${String(userCode).toLowerCase()}`);
    for (const text of ['x&lt;b&gt;', '10.1.1.1', String(userCode)])
      assert.ok(shown.text.includes(text), shown.text);
    const form = { csrf, user_code: String(userCode), decision };
    assert.equal((await browser.post('/account/device/decide', { ...form, csrf: 'x' })).status, 400);
    assert.equal((await browser.post('/account/device/decide', form)).status, 200);
    const { status, body } = await poll(deviceCode);
    if (decision === 'approve') assert.deepEqual([status, body.user], [200, 'ana']);
    else assert.deepEqual([status, body.error], [400, 'access_denied'], decision);
  }
  const unknown = await browser.get('/account/device?user_code=BCDF-GHJK');
  assert.deepEqual([unknown.status, /no machine waits with this code/.test(unknown.text)], [400, true]);
  assert.equal((await new Browser(hubgate).get('/account/device?user_code=AB-CD')).status, 303);
});
