/** Logins, ends of sessions and changes on the account page are in the audit log. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { askAuth } from '../support/ask-auth.ts';
import { Browser } from '../support/browser.ts';
import { DirectoryMirror } from '../support/directory-mirror.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';

const AGENT = { 'user-agent': 'a browser' };
const NEW_PASSWORD = 'another long password';

const mirror = await DirectoryMirror.start({ after }, { users: ['local', 'kim', 'lea'] });
const { hubgate, provider } = mirror;

type Line = Readonly<Record<string, unknown>>;

/** Returns the lines with an action about a subject, as soon as there are `count` of them. */
async function lines(action: string, subject: string, count = 1): Promise<Line[]> {
  let found: Line[] = [];
  await waitFor(async () => {
    found = (await hubgate.audit()).filter((line) => line.action === action && line.subject === subject);
    return found.length >= count;
  });
  assert.equal(found.length, count);
  return found;
}

/** Returns the fields of a line that differ from line to line for other reasons than the decision. */
function facts(line: Line | undefined): Line {
  const { level: _, time, milliseconds, credential, ...others } = line ?? {};
  assert.match(String(time), /^\d{4}-/);
  assert.equal(typeof milliseconds, 'number');
  return others;
}

test('a login with a password, a refused one, and a logout have lines', async () => {
  const browser = new Browser(hubgate);
  await browser.post('/account/login', { name: 'local', password: 'my password' }, AGENT);
  const [refused] = await lines('login', 'anonymous');
  const caller = { address: '127.0.0.1', agent: 'a browser', method: 'POST' };
  assert.deepEqual(facts(refused), {
    ...{ action: 'login', subject: 'anonymous', decision: 'deny', reason: 'wrong name or password' },
    ...{ ...caller, status: 403 },
  });
  await browser.post('/account/login', { name: 'local', password: PASSWORD }, AGENT);
  const [login] = await lines('login', 'user:local');
  assert.deepEqual(facts(login), {
    ...{ action: 'login', subject: 'user:local', decision: 'allow', ...caller, status: 303 },
  });
  await browser.post('/account/logout', { csrf: await browser.csrf() }, AGENT);
  const [logout] = await lines('logout', 'user:local');
  assert.deepEqual([logout?.decision, logout?.credential], ['allow', login?.credential]);
  // What was typed as a name can be a password.
  await browser.post('/account/login', { name: 'my secret', password: 'x' }, AGENT);
  await lines('login', 'anonymous', 2);
  assert.doesNotMatch(JSON.stringify(await hubgate.audit()), /my secret|my password/);
});

test('a login at a provider, a refused one, and logouts that the provider reports have lines', async () => {
  await mirror.loggedIn('ana');
  const [login] = await lines('login', 'user:ana');
  assert.deepEqual([login?.login, login?.status, login?.method], ['corp', 200, 'GET']);
  const before = (await hubgate.audit()).filter(({ action }) => action === 'login').length;
  await provider.setPerson('sub-local', { preferred_username: 'local', groups: [] });
  await mirror.logIn(new Browser(hubgate), 'sub-local');
  await waitFor(async () => {
    const all = (await hubgate.audit()).filter(({ action }) => action === 'login');
    return all.length === before + 1;
  });
  const refused = (await hubgate.audit()).findLast(({ action }) => action === 'login');
  assert.deepEqual([refused?.decision, refused?.subject, refused?.login], ['deny', 'anonymous', 'corp']);
  assert.match(String(refused?.reason), /^the name local belongs to another account/);
  await mirror.logOut('a.b.c');
  const [forged] = await lines('logout', 'anonymous');
  assert.deepEqual([forged?.decision, forged?.login, forged?.status], ['deny', 'corp', 400]);
  await mirror.logOut(await provider.logoutToken({ sub: 'sub-ana' }));
  const [logout] = await lines('logout', 'user:ana');
  assert.deepEqual([logout?.login, logout?.reason], ['corp', 'logged out by the provider']);
  await mirror.loggedIn('ana');
  await provider.revoke('sub-ana');
  await mirror.logOut(await provider.logoutToken({ sub: 'sub-ana' }));
  const [, suspended] = await lines('logout', 'user:ana', 2);
  assert.equal(suspended?.reason, 'logged out and suspended by the provider');
});

test('tokens that somebody makes and revokes, and a changed password, have lines', async () => {
  const browser = new Browser(hubgate);
  await browser.logIn('kim');
  const csrf = await browser.csrf();
  const form = { csrf, label: 'build – 7', days: '7', pull: 'library/*\nacme/*', from: '10.0.0.0/8' };
  await browser.post('/account/tokens', form);
  const [made] = await lines('create-token', 'user:kim');
  assert.deepEqual(
    [made?.decision, made?.label, made?.restriction],
    ['allow', 'build – 7', 'pull library/* acme/*; from 10.0.0.0/8'],
  );
  await browser.post('/account/tokens/revoke', { csrf, id: String(made?.token) });
  const [revoked] = await lines('revoke-token', 'user:kim');
  assert.equal(revoked?.token, made?.token);
  const change = { csrf, password: NEW_PASSWORD, again: NEW_PASSWORD };
  await browser.post('/account/password', { ...change, current: 'wrong' });
  await browser.post('/account/password', { ...change, current: PASSWORD });
  const [refused, done] = await lines('change-password', 'user:kim', 2);
  assert.deepEqual([refused?.decision, refused?.reason], ['deny', 'wrong current password']);
  assert.deepEqual([done?.decision, done?.status], ['allow', 303]);
});

test('a machine that somebody approves or refuses, its token and its logout have lines', async () => {
  const browser = new Browser(hubgate);
  await browser.logIn('lea');
  const csrf = await browser.csrf();
  const begin = async (machine: string) => {
    const { body } = await askAuth(hubgate.paths.authSocket, '/device/begin', {
      machine,
      address: '10.1.1.1',
    });
    return { user_code: String(body.user_code), device_code: String(body.device_code) };
  };
  const approved = await begin('desk');
  const refused = await begin('stranger');
  await browser.post('/account/device/decide', { csrf, ...approved, decision: 'approve' });
  await browser.post('/account/device/decide', { csrf, ...refused, decision: 'refuse' });
  assert.equal((await lines('approve-machine', 'user:lea'))[0]?.label, 'desk');
  assert.equal((await lines('refuse-machine', 'user:lea'))[0]?.label, 'stranger');
  const machine = (path: string, form: Record<string, string>) =>
    hubgate.ask(`/account/device/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      send: new URLSearchParams(form).toString(),
    });
  const grant = 'urn:ietf:params:oauth:grant-type:device_code';
  const polled = await machine('token', { grant_type: grant, device_code: approved.device_code });
  const { id, token } = JSON.parse(polled.body.toString());
  const [made] = await lines('create-token', 'user:lea');
  assert.deepEqual([made?.token, made?.label], [id, 'desk']);
  await machine('revoke', { token });
  assert.equal((await lines('revoke-token', 'user:lea'))[0]?.token, id);
  // Neither the browser nor a machine sees the words for the gateway.
  assert.equal(polled.headers['hubgate-audit'], undefined);
});

test('a request of a browser cannot bring words for the audit log', async () => {
  const word = Buffer.from('{"action":"login","subject":"user:ana","decision":"allow"}').toString(
    'base64url',
  );
  const count = (await hubgate.audit()).length;
  await new Browser(hubgate).get('/account/login', { 'hubgate-audit': word });
  const browser = new Browser(hubgate);
  await browser.post('/account/login', { name: 'local', password: PASSWORD }, { 'hubgate-audit': word });
  await waitFor(async () => (await hubgate.audit()).length > count);
  const added = (await hubgate.audit()).slice(count);
  assert.deepEqual(
    added.map(({ subject }) => subject),
    ['user:local'],
  );
});
