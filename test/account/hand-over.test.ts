import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { serveOnSocket } from '../../src/platform/ipc/unix-socket.ts';
import { Browser } from '../support/browser.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = 'allow: [{ pull: everything, to: authenticated }]';
const ALPINE = '/v2/library/alpine/manifests/latest';

test('the page gets only what is named of a request, and only its own cookies', async (t) => {
  const { hubgate } = await withMirror(t, { policy: POLICY });
  const seen: { request: IncomingMessage; body: string }[] = [];
  await mkdir(path.dirname(hubgate.paths.accountSocket), { recursive: true });
  await using _ = await serveOnSocket(hubgate.paths.accountSocket, async (request, response) => {
    seen.push({ request, body: await text(request) });
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'set-cookie': ['__Host-hubgate=a; Path=/', 'other=b', '__Host-hubgate-login=c'],
      'content-security-policy': "default-src *; script-src 'unsafe-inline'",
      'access-control-allow-origin': '*',
      'x-frame-options': 'ALLOWALL',
      'www-authenticate': 'Basic',
    });
    response.end('<p>page');
  });
  const headers = {
    host: 'mirror.corp',
    authorization: 'Basic c2VjcmV0',
    cookie: 'a=1; __Host-hubgate=s; __Host-hubgate-login=l; __Host-hubgateX=2; x__Host-hubgate=3',
    'x-forwarded-for': '1.2.3.4',
    'hubgate-address': '9.9.9.9',
    referer: 'https://elsewhere.example/secret',
    'user-agent': 'test',
  };
  const browser = new Browser(hubgate);
  const answer = await browser.post('/account/x?y=%2e', { name: 'value' }, headers);
  const [{ request, body } = assert.fail()] = seen;
  assert.deepEqual([request.method, request.url, body], ['POST', '/account/x?y=%2e', 'name=value']);
  const { connection: _c, 'content-length': _l, ...handed } = request.headers;
  const address = handed['hubgate-address'];
  assert.match(String(address), /^(?:127\.0\.0\.1|::1)$/);
  assert.deepEqual(handed, {
    host: 'mirror.corp',
    'content-type': 'application/x-www-form-urlencoded',
    'sec-fetch-site': 'same-origin',
    cookie: '__Host-hubgate=s; __Host-hubgate-login=l',
    'hubgate-address': address,
  });
  assert.equal(answer.text, '<p>page');
  assert.deepEqual(answer.headers['set-cookie'], ['__Host-hubgate=a; Path=/', '__Host-hubgate-login=c']);
  assert.match(String(answer.headers['content-security-policy']), /^default-src 'none'; style-src 'self'; /);
  assert.equal(answer.headers['x-frame-options'], 'DENY');
  for (const name of ['access-control-allow-origin', 'www-authenticate'])
    assert.equal(answer.headers[name], undefined, name);
});

test('a form that is too long, and a method that no browser sends, are refused without the page', async (t) => {
  const { hubgate } = await withMirror(t, { policy: POLICY });
  const browser = new Browser(hubgate);
  const long = await browser.post('/account/tokens', { label: 'x'.repeat(64 * 1024) });
  assert.equal(long.status, 413);
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const { status } = await hubgate.send({ path: '/account/', method });
    assert.equal(status, 405, method);
  }
});

test('a page that does not answer costs no pull, and says so itself', async (t) => {
  const { hubgate } = await withMirror(t, { policy: POLICY, images: { 'library/alpine': imageOf() } });
  await hubgate.startAccount();
  const token = await hubgate.token('ana', 'library/alpine');
  const pull = async () => (await hubgate.ask(ALPINE, { token })).status;
  assert.equal(await pull(), 200);
  await hubgate.stopAccount();
  const browser = new Browser(hubgate);
  // These wait for the page to come back, and a pull does not wait for them.
  const pages = Promise.all(Array.from({ length: 8 }, () => browser.get('/account/login')));
  const pulls = await Promise.all(Array.from({ length: 50 }, pull));
  assert.deepEqual(new Set(pulls), new Set([200]));
  for (const { status, text, headers } of await pages) {
    assert.equal(status, 503);
    assert.match(text, /Pulls are not affected/);
    assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/);
  }
  const ready = await fetch(`http://127.0.0.1:${hubgate.adminPort}/readyz`);
  assert.equal(ready.status, 200);
  await ready.body?.cancel();
  await hubgate.startAccount();
  assert.equal((await browser.get('/account/login')).status, 200);
});

test('while auth does not answer, the page says so', async (t) => {
  const { hubgate } = await withMirror(t, { policy: POLICY });
  await hubgate.startAccount();
  const browser = new Browser(hubgate);
  await browser.logIn('ana');
  await hubgate.stopAuth();
  const { status, text } = await browser.get('/account/');
  assert.deepEqual([status, /A part of the mirror does not answer/.test(text)], [503, true]);
  // What needs no answer of auth is still there.
  assert.equal((await browser.get('/account/style.css')).status, 200);
});

test('a page that was there before is not in the way of the next one', async (t) => {
  const { hubgate } = await withMirror(t, { policy: POLICY });
  await hubgate.startAccount();
  await hubgate.stopAccount();
  await rm(hubgate.paths.accountSocket, { force: true });
  await hubgate.startAccount();
  assert.equal((await new Browser(hubgate).get('/account/login')).status, 200);
});

test('invariant 20: what auth decided is recorded as far as it can be read, and the rest is counted', async (t) => {
  const { hubgate } = await withMirror(t, { policy: POLICY });
  await mkdir(path.dirname(hubgate.paths.accountSocket), { recursive: true });
  const decided = { action: 'logout', subject: 'user:ana', decision: 'allow' };
  const wordOf = (one: object) => Buffer.from(JSON.stringify(one)).toString('base64url');
  const words = [wordOf({ action: 'no action' })];
  await using _ = await serveOnSocket(hubgate.paths.accountSocket, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html', 'hubgate-audit': words.join(', ') });
    response.end('<p>page');
  });
  const browser = new Browser(hubgate);
  assert.equal((await browser.get('/account/')).status, 200);
  await waitFor(async () => (await hubgate.audit()).length === 1);
  words.push(wordOf({ ...decided, unknown: 'value' }));
  assert.equal((await browser.get('/account/')).status, 200);
  await waitFor(async () => (await hubgate.audit()).length === 3);
  const lines = await hubgate.audit();
  assert.deepEqual(
    lines.map(({ action, subject, unknown, count }) => [action, subject, unknown, count]),
    [
      ['lost', undefined, undefined, 1],
      ['logout', 'user:ana', undefined, undefined],
      ['lost', undefined, undefined, 1],
    ],
  );
});
