/** A laptop logs in by the credential helper, and somebody approves it on the account page. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { lstat, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { DEVICE_GRANT } from '../../src/auth/limits.ts';
import { askAuth } from '../support/ask-auth.ts';
import { Browser } from '../support/browser.ts';
import { makeAuthority } from '../support/certificates.ts';
import { addKeychain, type HelperResult, type Laptop, makeLaptop } from '../support/credential-helper.ts';
import { imageOf } from '../support/image.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    users: ['ana', 'jin', 'zoe', 'max', 'lea'],
    images: { 'library/alpine': imageOf() },
  },
);
await hubgate.startAccount();
const HOST = `localhost:${hubgate.port}`;

function asked(target: string, body: object) {
  return askAuth(hubgate.paths.authSocket, target, body);
}

/** Answers the machine that shows this code, as its user does on the page. */
async function decide(name: string, code: string, approve: boolean): Promise<void> {
  const login = { kind: 'password', name, password: PASSWORD, address: '10.1.2.3' };
  const session = String((await asked('/session', login)).body.session);
  const csrf = String((await asked('/session/show', { session })).body.csrf);
  const { status, body } = await asked('/device/decide', { session, csrf, user_code: code, approve });
  assert.equal(status, 200, JSON.stringify(body));
}

interface LoginOptions {
  readonly user?: string;
  readonly approve?: boolean;
  readonly flags?: readonly string[];
}

/** Logs the laptop in; `user` answers as soon as the code is shown. */
async function logIn(laptop: Laptop, { user = 'ana', approve = true, flags }: LoginOptions = {}) {
  const ca = path.join(laptop.home, 'ca.crt');
  await writeFile(ca, hubgate.ca);
  let decided: Promise<void> | undefined;
  const result = await laptop.call(['login', HOST, ...(flags ?? ['--ca', ca])], '', (said) => {
    const [, code] = /type the code (\S+)\. It counts for 10 minutes/.exec(said) ?? [];
    if (code !== undefined) decided ??= decide(user, code, approve);
  });
  await decided;
  return result;
}

async function secretOf(laptop: Laptop): Promise<string> {
  const { code, stdout } = await laptop.call(['get'], HOST);
  assert.equal(code, 0, stdout);
  return JSON.parse(stdout).Secret;
}

async function mayPull(user: string, password: string): Promise<boolean> {
  return (await hubgate.ask(ALPINE, { user, password })).status === 200;
}

function assertDone({ code, stderr }: HelperResult): void {
  assert.equal(code, 0, stderr);
}

test('a laptop logs in, pulls, and logs out; its token is named after it and then revoked', async () => {
  await using laptop = await makeLaptop();
  const ca = path.join(laptop.home, 'ca.crt');
  await writeFile(ca, hubgate.ca);
  const login = await logIn(laptop, { flags: ['--ca', ca, '--machine', 'ana’s laptop'] });
  assertDone(login);
  assert.match(login.stderr, new RegExp(`Open https://${HOST}/account/device\n`));
  assert.match(login.stderr, /You are ana at /);
  const secret = await secretOf(laptop);
  await waitFor(() => mayPull('ana', secret));
  await using state = hubgate.openState();
  const [token] = (await state.tokens()).filter(({ label }) => label === 'ana’s laptop');
  assert.equal(token?.owner, 'ana');
  const config = JSON.parse(await readFile(path.join(laptop.home, '.docker/config.json'), 'utf8'));
  assert.deepEqual(config, { credHelpers: { [HOST]: 'hubgate' } });
  for (let time = 0; time < 2; time++) assertDone(await laptop.call(['erase'], HOST));
  assert.equal((await laptop.call(['get'], HOST)).code, 1);
  assert.equal(await state.token(token?.id ?? ''), undefined);
  await waitFor(async () => !(await mayPull('ana', secret)));
});

test('a second login revokes the token of the first one, and docker login with a password does too', async () => {
  await using laptop = await makeLaptop();
  assertDone(await logIn(laptop, { user: 'jin' }));
  const first = await secretOf(laptop);
  await waitFor(() => mayPull('jin', first));
  assertDone(await logIn(laptop, { user: 'jin' }));
  const second = await secretOf(laptop);
  await waitFor(async () => (await mayPull('jin', second)) && !(await mayPull('jin', first)));
  const given = { ServerURL: HOST, Username: 'jin', Secret: PASSWORD };
  assertDone(await laptop.call(['store'], JSON.stringify(given)));
  await waitFor(async () => !(await mayPull('jin', second)));
  assert.equal(await secretOf(laptop), PASSWORD);
});

test('a login whose keychain has closed since says which token is to be revoked', async () => {
  await using laptop = await makeLaptop();
  const tokenId = async () => {
    await using state = hubgate.openState();
    return (await state.tokens()).find(({ owner }) => owner === 'max')?.id ?? assert.fail();
  };
  await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
  assertDone(await logIn(laptop, { user: 'max' }));
  const id = await tokenId();
  await writeFile(path.join(laptop.programs, 'docker-credential-pass'), '#!/bin/sh\nexit 2\n');
  const out = await laptop.call(['erase'], HOST);
  const place = `revoke ${id} at https://${HOST}/account/tokens\n`;
  assert.ok(out.stderr.endsWith(`unlock it and log out again, or ${place}`), out.stderr);
  const again = await logIn(laptop, { user: 'max' });
  assertDone(again);
  assert.ok(
    again.stderr.includes(
      `The earlier token could not be revoked (the keychain (pass) does not open); ${place}`,
    ),
    again.stderr,
  );
});

test('a login that was refused leaves nothing', async () => {
  await using laptop = await makeLaptop();
  const { code, stderr } = await logIn(laptop, { user: 'zoe', approve: false });
  assert.equal(code, 1);
  assert.match(stderr, /the login was refused/);
  assert.equal((await laptop.call(['get'], HOST)).code, 1);
  await assert.rejects(stat(path.join(laptop.home, '.docker/config.json')));
});

test('everything else in the files of docker and podman stays as it is', async () => {
  await using laptop = await makeLaptop({ XDG_RUNTIME_DIR: '/dev/null' });
  await symlink('/bin/true', path.join(laptop.programs, 'podman'));
  const real = path.join(laptop.home, 'dotfiles.json');
  const text =
    '{\n   "auths": {"other": {"auth": "eA=="}},\n   "credHelpers": {"a": "b"},\n   "x": [1, {}]\n}\n';
  await writeFile(real, text, { mode: 0o640 });
  await mkdir(path.join(laptop.home, '.docker'));
  const config = path.join(laptop.home, '.docker/config.json');
  await symlink(real, config);
  const auth = path.join(laptop.home, '.config/containers/auth.json');
  await mkdir(path.dirname(auth), { recursive: true });
  await writeFile(auth, 'not JSON');
  const { code, stderr } = await logIn(laptop);
  assert.equal(code, 0, stderr);
  assert.ok((await lstat(config)).isSymbolicLink());
  assert.equal((await stat(real)).mode & 0o777, 0o640);
  const changed = await readFile(real, 'utf8');
  assert.deepEqual(JSON.parse(changed), { ...JSON.parse(text), credHelpers: { a: 'b', [HOST]: 'hubgate' } });
  assert.match(changed, /^ {3}"auths"/m);
  assert.equal(await readFile(auth, 'utf8'), 'not JSON');
  assert.match(stderr, /auth\.json is not JSON, so it is left alone: add "credHelpers"/);
  assert.match(stderr, /\/dev\/null\/containers\/auth\.json cannot be written/);
  assert.match(stderr, /docker finds this program only on the PATH/);
});

test('an unknown certificate is not trusted by itself; the right fingerprint of its CA is', async () => {
  await using laptop = await makeLaptop();
  // Whoever approves such a login sees it succeed, if it is not refused before.
  const unknown = await logIn(laptop, { user: 'max', flags: [] });
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /does not trust the certificate of localhost/);
  const other = makeAuthority('another');
  const wrong = new X509Certificate(other.cert).fingerprint256;
  const refused = await logIn(laptop, { user: 'max', flags: ['--ca-sha256', wrong] });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /not the one that you gave: somebody may be in between/);
  const right = new X509Certificate(hubgate.ca).fingerprint256;
  assertDone(await logIn(laptop, { user: 'max', flags: ['--ca-sha256', right] }));
  // The CA is kept, because a logout speaks to the mirror too.
  assertDone(await laptop.call(['erase'], HOST));
});

test('a logout without the mirror deletes the login, and says what is to be revoked', async () => {
  await using laptop = await makeLaptop();
  assertDone(await logIn(laptop, { user: 'lea' }));
  await hubgate.stopAccount();
  const { code, stdout } = await laptop.call(['erase'], HOST);
  await hubgate.startAccount();
  assert.equal(code, 1);
  assert.match(
    stdout,
    /deleted here, and its token could not be revoked .*; revoke \S+ at https:\/\/localhost/,
  );
  assert.equal((await laptop.call(['get'], HOST)).code, 1);
});

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function post(target: string, form: Record<string, string>, headers: object = {}): Promise<Answer> {
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await hubgate.send({
    ...{ path: target, method: 'POST', headers: { ...type, ...headers } },
    send: new URLSearchParams(form).toString(),
  });
  return { status: answer.status, body: JSON.parse(answer.body.toString()) };
}

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

test('the endpoints of machines speak as RFC 8628 says', async () => {
  const begun = await post('/account/device', { machine: 'desk' });
  assert.deepEqual([begun.status, begun.body.interval, begun.body.expires_in], [200, 5, 600]);
  const poll = (form: Record<string, string>) => post('/account/device/token', form);
  const device_code = String(begun.body.device_code);
  assert.deepEqual(await poll({ device_code }), { status: 400, body: { error: 'unsupported_grant_type' } });
  for (const [code, error] of [
    [device_code, 'authorization_pending'],
    [device_code, 'slow_down'],
    ['x'.repeat(5000), 'expired_token'],
  ] as const)
    assert.deepEqual(await poll({ grant_type: GRANT, device_code: code }), { status: 400, body: { error } });
  assert.equal((await post('/account/device', { machine: '' })).body.error, 'invalid_request');
  assert.deepEqual(await post('/account/device/revoke', { token: 'x' }), {
    status: 200,
    body: { done: true },
  });
});

test('a page of another site makes no machine wait', async () => {
  for (const site of ['cross-site', 'same-site', 'same-origin', 'none']) {
    const { status } = await post('/account/device', { machine: 'x' }, { 'sec-fetch-site': site });
    assert.equal(status, 403, site);
  }
});

test('many machines behind one address wait their turn, and the answer says so', async () => {
  hubgate.ahead += DEVICE_GRANT.lifetime;
  for (let time = 0; time < DEVICE_GRANT.waitingEach; time++)
    assert.equal((await post('/account/device', { machine: 'm' })).status, 200);
  const { status, body } = await post('/account/device', { machine: 'm' });
  assert.deepEqual([status, body.error], [503, 'temporarily_unavailable']);
  assert.match(String(body.error_description), /too many machines wait/);
});

test('the mirror gives the program to everybody, byte by byte', async () => {
  const { status, body, headers } = await hubgate.send({ path: '/account/docker-credential-hubgate' });
  assert.deepEqual([status, headers['content-type']], [200, 'text/javascript; charset=utf-8']);
  const program = path.join(import.meta.dirname, '../../bin/docker-credential-hubgate.cjs');
  assert.ok(body.equals(await readFile(program)));
});

test('the page has a text to paste for a laptop, with no token in it, and makes none for it', async () => {
  const browser = new Browser(hubgate);
  await browser.logIn('ana');
  const { text } = await browser.get('/account/connect?client=laptop');
  assert.match(text, new RegExp(`https://${HOST}/account/docker-credential-hubgate`));
  assert.match(text, new RegExp(`docker-credential-hubgate login ${HOST}`));
  const csrf = await browser.csrf();
  await using state = hubgate.openState();
  const before = (await state.tokens()).length;
  const made = await browser.post('/account/connect', { csrf, client: 'laptop', label: 'x' });
  assert.doesNotMatch(made.text, /hubgate_/);
  assert.equal((await state.tokens()).length, before);
});
