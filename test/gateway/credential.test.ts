import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, type TestContext, test } from 'node:test';
import type { FakeHub } from '../support/fake-hub.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = 'allow: [{ pull: "**", to: authenticated, private: true }]';
const USER = { user: 'ana' };
const { username } = ACCOUNT;
const ALPINE = '/v2/library/alpine/manifests/latest';
const LEDGER = '/v2/acme/ledger/manifests/latest';
/** Longer than the Hub's tokens are used, and than a refusal of the credential is remembered. */
const LATER = 301_000;

let directory: string;
let passwordFile: string;
let hub: FakeHub;
let hubgate: TestHubgate;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-secret-'));
  passwordFile = path.join(directory, 'hub-token');
});

async function start(t: TestContext): Promise<void> {
  ({ hub, hubgate } = await withMirror(t, {
    policy: POLICY,
    configuration: ({ url }) => ({ upstreams: { 'docker.io': { url, username, passwordFile } } }),
    images: { 'library/alpine': imageOf() },
    privateImages: { 'acme/ledger': imageOf() },
  }));
  t.after(() => rm(directory, { recursive: true }));
  setHubPassword(ACCOUNT.password);
}

/** What the Hub knows; undefined: the token was revoked. */
function setHubPassword(password: string | undefined): void {
  hub.accounts.length = 0;
  if (password === undefined) return;
  const repositories = ['acme/ledger', ...Array.from({ length: 1000 }, (_, index) => `acme/app-${index}`)];
  hub.accounts.push({ username, password, repositories });
}

/** By renaming over it, as most programs do. */
async function writePassword(password: string): Promise<void> {
  await writeFile(`${passwordFile}.new`, `${password}\n`);
  await rename(`${passwordFile}.new`, passwordFile);
}

async function pull(target: string): Promise<number> {
  return (await hubgate.ask(target, USER)).status;
}

async function admin(target: string) {
  const answer = await ask({ host: '127.0.0.1', port: hubgate.adminPort, path: target });
  return { status: answer.status, text: answer.body.toString() };
}

/** Of docker.io, as `/readyz` says, which must say ready all the time. */
async function credential(): Promise<string> {
  const { status, text } = await admin('/readyz');
  assert.equal(status, 200);
  return JSON.parse(text).core.upstreams[0].credential;
}

function logged(message: RegExp) {
  return hubgate.log.filter(({ msg }) => message.test(msg));
}

/**
 * Pulls one private repository after another that nobody has pulled, each with a token of its own, while
 * `act` runs.
 */
async function underTraffic(act: () => Promise<void>): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  let turn = 0;
  let isOver = false;
  const puller = async () => {
    while (!isOver) {
      const name = `acme/app-${turn++}`;
      hub.push(name, 'latest', imageOf(), { private: true });
      const status = await pull(`/v2/${name}/manifests/latest`);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  const pulled = () => statuses.get(200) ?? 0;
  const pullers = Array.from({ length: 4 }, puller);
  await waitFor(() => pulled() >= 20);
  await act();
  const before = pulled();
  await waitFor(() => pulled() >= before + 20);
  isOver = true;
  await Promise.all(pullers);
  return statuses;
}

test('a password that is exchanged at the Hub and in its file costs no pull, by a rename and by a link as in Kubernetes', async (t) => {
  await writeFile(path.join(directory, 'first'), ACCOUNT.password);
  await symlink('first', path.join(directory, '..data'));
  await symlink('..data', passwordFile);
  await start(t);
  const statuses = await underTraffic(async () => {
    await writeFile(path.join(directory, 'second'), 'second');
    await symlink('second', path.join(directory, '..data.new'));
    setHubPassword('second');
    await rename(path.join(directory, '..data.new'), path.join(directory, '..data'));
  });
  assert.deepEqual([...statuses.keys()], [200]);
  hubgate.log.length = 0;
  const again = await underTraffic(async () => {
    setHubPassword('third');
    await writePassword('third');
    await waitFor(() => logged(/^the credential changed$/).length === 1);
  });
  assert.deepEqual([...again.keys()], [200]);
  const used = hub.log.findLast(({ server, headers }) => server === 'token' && headers.authorization);
  assert.equal(used?.headers.authorization, `Basic ${Buffer.from(`${username}:third`).toString('base64')}`);
  assert.doesNotMatch(JSON.stringify(hubgate.log), /second|third/);
});

test('with another password neither a token of the old one nor a refusal of it is used any longer', async (t) => {
  await writePassword('wrong');
  await start(t);
  assert.equal(await pull(LEDGER), 502);
  assert.equal(await credential(), 'refused');
  hub.log.length = 0;
  assert.equal(await pull(LEDGER), 502);
  assert.equal(hub.log.length, 0, 'the refusal is remembered');
  await writePassword(ACCOUNT.password);
  // Nobody has to pull for it to be known that it is well.
  await waitFor(async () => (await credential()) === 'accepted');
  assert.equal(await pull(LEDGER), 200);
  // Good at the Hub as well: only the tokens can tell which of them is used.
  const tokens = () => hub.log.filter(({ server }) => server === 'token').length;
  setHubPassword('next');
  await writePassword('next');
  await waitFor(() => logged(/^the credential changed$/).length === 2);
  await waitFor(async () => (await credential()) === 'accepted');
  hub.log.length = 0;
  hubgate.ahead += 61_000;
  assert.equal(await pull(LEDGER), 200);
  assert.equal(tokens(), 1);
});

test('a credential that is revoked is told by readiness, metric and once by the log; what is cached is served, and it mends', async (t) => {
  await writePassword(ACCOUNT.password);
  await start(t);
  assert.equal(await credential(), 'unknown');
  for (const target of [ALPINE, LEDGER]) assert.equal(await pull(target), 200);
  assert.equal(await credential(), 'accepted');
  assert.match((await admin('/metrics')).text, /^hubgate_upstream_credential_ok\{upstream="docker.io"\} 1$/m);
  setHubPassword(undefined);
  for (let turn = 0; turn < 3; turn++) {
    hubgate.ahead += LATER;
    for (const target of [ALPINE, LEDGER]) assert.equal(await pull(target), 200);
    assert.equal(await pull('/v2/acme/app-1/manifests/latest'), 502);
  }
  assert.equal(await credential(), 'refused');
  assert.match((await admin('/metrics')).text, /^hubgate_upstream_credential_ok\{upstream="docker.io"\} 0$/m);
  assert.equal(logged(/refuses the credential/).length, 1);
  assert.deepEqual(logged(/upstream trouble/), []);
  // Given back at the Hub, as an account is that was locked.
  setHubPassword(ACCOUNT.password);
  hubgate.ahead += LATER;
  assert.equal(await pull(LEDGER), 200);
  assert.equal(await credential(), 'accepted');
  assert.equal(logged(/takes the credential again/).length, 1);
});

test('a file that is missing or empty for a moment changes nothing, and the log says so', async (t) => {
  await writePassword(ACCOUNT.password);
  await start(t);
  assert.equal(await pull(LEDGER), 200);
  await unlink(passwordFile);
  await waitFor(() => logged(/file is not used; the last good one holds/).length === 1);
  await writeFile(passwordFile, '\n');
  await waitFor(() => logged(/file is not used; the last good one holds/).length === 2);
  assert.deepEqual(
    logged(/file is not used/).map(({ problem }) => problem),
    ['cannot be read: ENOENT', 'is empty'],
  );
  hubgate.ahead += LATER;
  assert.equal(await pull(LEDGER), 200);
  assert.equal(await credential(), 'accepted');
  await writePassword(ACCOUNT.password);
  await waitFor(() => logged(/file can be used again/).length === 1);
  assert.deepEqual(logged(/^the credential changed$/), []);
});

test('a core that is started again without its secret file serves what is cached, and takes the file when it is there', async (t) => {
  await writePassword(ACCOUNT.password);
  await start(t);
  assert.equal(await pull(LEDGER), 200);
  await unlink(passwordFile);
  await hubgate.restartCore();
  hubgate.ahead += LATER;
  assert.equal(await pull(LEDGER), 200);
  assert.equal(await pull('/v2/acme/app-1/manifests/latest'), 502);
  await writePassword(ACCOUNT.password);
  hub.push('acme/app-1', 'latest', imageOf(), { private: true });
  assert.equal(await pull('/v2/acme/app-1/manifests/latest'), 200);
});

test('SIGHUP reads the file at once', async (t) => {
  await writePassword(ACCOUNT.password);
  await start(t);
  assert.equal(await pull(LEDGER), 200);
  await writePassword('next');
  await hubgate.reloadCore();
  assert.equal(logged(/^the credential changed$/).length, 1);
});

test('what the token service says late of the old password is no word on the new one', async (t) => {
  await writePassword('old');
  await start(t);
  const action = async () => {
    await writePassword(ACCOUNT.password);
    await waitFor(async () => (await credential()) === 'accepted');
  };
  hub.plant('token', /./, { kind: 'after', action }, 1);
  assert.equal(await pull(LEDGER), 200);
  assert.deepEqual(logged(/refuses the credential/), []);
});
