/** What a stranger sends is refused in the words of the page, and is no fault of any part of the mirror. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { withMirror } from '../support/with-mirror.ts';

const SECRET = 'a-secret-of-the-provider-0123456789';
const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-odd-'));
after(() => rm(directory, { recursive: true }));
const scimTokenFile = path.join(directory, 'token');
await writeFile(scimTokenFile, SECRET, { mode: 0o600 });
const oidc = { issuer: 'http://127.0.0.1:1', clientId: 'hubgate', scimTokenFile };
const { hubgate } = await withMirror(
  { after },
  { policy: 'allow: []', configuration: { login: { corp: { oidc } } } },
);
await hubgate.startAccount();

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
/** Each of these is longer in JSON, or in a query that is written again. */
const LONG = ['\u0001'.repeat(60_000), '"'.repeat(60_000), "'".repeat(60_000), '\u00e9'.repeat(30_000)];
const LONG_QUERIES = ["'".repeat(7_900), '&'.repeat(7_900), '%00'.repeat(2_600), '+'.repeat(7_900)];

async function statusOf(
  target: string,
  method: string,
  headers: Record<string, string>,
  send?: string | Uint8Array,
) {
  // A machine that asks for a token is no browser.
  const isMachine = /^\/account\/device(?!\/decide)/.test(target);
  const from: Record<string, string> = isMachine ? {} : { 'sec-fetch-site': 'same-origin' };
  const asked = { path: target, method, headers: { ...headers, ...from } };
  return (await hubgate.send({ ...asked, ...(send !== undefined && { send }) })).status;
}

/** Returns the requests that were answered as a fault, and what a fault has left in the log. */
async function faultsOf(
  requests: readonly (readonly [
    target: string,
    method: string,
    headers: Record<string, string>,
    send?: string | Uint8Array,
  ])[],
) {
  const from = hubgate.log.length;
  const faults: string[] = [];
  for (const request of requests) {
    const status = await statusOf(...request);
    if (status >= 500) faults.push(`${request[1]} ${request[0].slice(0, 60)} ${status}`);
  }
  const logged = hubgate.log.slice(from).filter(({ level }) => Number(level) >= 40);
  return [...faults, ...logged.map(({ msg }) => msg)];
}

test('a form with a long text in any field is refused, and leaves no fault in the log', async () => {
  const fields = {
    '/account/login': ['name', 'password', 'to'],
    '/account/device': ['machine'],
    '/account/device/token': ['device_code', 'grant_type'],
    '/account/device/revoke': ['token'],
  };
  const requests = Object.entries(fields).flatMap(([target, names]) =>
    names.flatMap((name) => LONG.map((text) => [target, 'POST', FORM, `${name}=${text}`] as const)),
  );
  assert.deepEqual(await faultsOf(requests), []);
});

test('a form that is no text is refused, although each of its bytes becomes three', async () => {
  const noText = Buffer.alloc(60_000, 0xff);
  const targets = ['/account/login', '/account/device', '/account/scim/corp/Users'];
  assert.deepEqual(await faultsOf(targets.map((target) => [target, 'POST', FORM, noText] as const)), []);
});

test('a path and headers that no browser sends are refused', async () => {
  const long = 'x'.repeat(12_000);
  const odd = ['\u00e9', '\u0080', '\u00ff'];
  assert.deepEqual(
    await faultsOf([
      ...odd.map((text) => [`/account/login?to=${text}`, 'GET', {}] as const),
      ...odd.map((text) => ['/account/', 'GET', { cookie: `__Host-hubgate=${text}` }] as const),
      ...odd.map((text) => ['/account/', 'GET', { 'content-type': text, origin: text }] as const),
      ...odd.map((text) => ['/account/scim/corp/Users', 'GET', { authorization: text }] as const),
      [`/account/${long}`, 'GET', {}],
      ['/account/', 'GET', { cookie: `__Host-hubgate=${long}` }],
      ['/account/scim/corp/Users', 'GET', { authorization: long }],
    ]),
    [],
  );
});

test('a long query is refused, and leaves no fault in the log', async () => {
  const targets = ['/account/login/corp/callback', '/account/login', '/account/device'];
  const requests = [...targets, '/account/scim/corp/Users'].flatMap((target) =>
    LONG_QUERIES.map(
      (query) => [`${target}?${query}`, 'GET', { authorization: `Bearer ${SECRET}` }] as const,
    ),
  );
  assert.deepEqual(await faultsOf(requests), []);
});

test('somebody who has logged in causes no fault with long texts either', async () => {
  const browser = new Browser(hubgate);
  await browser.logIn('ana');
  const csrf = await browser.csrf();
  const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
  const fields = {
    '/account/tokens': ['label', 'days', 'pull', 'push', 'from'],
    '/account/tokens/revoke': ['id'],
    '/account/password': ['current', 'password'],
    '/account/device/decide': ['user_code'],
    '/account/connect': ['client', 'label'],
  };
  const requests = Object.entries(fields).flatMap(([target, names]) =>
    names.flatMap((name) =>
      LONG.map((text) => [target, 'POST', { ...FORM, cookie }, `csrf=${csrf}&${name}=${text}`] as const),
    ),
  );
  assert.deepEqual(await faultsOf(requests), []);
});
