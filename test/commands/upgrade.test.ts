/**
 * An upgrade of the home in `fixtures/home-0.1`, which the last commit before version 0.2 wrote, and the way
 * back. See `fixtures/home-0.1/make.mjs` for how it was made.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { type Digest, parseDigest, sha256Of } from '../../src/registry/digest.ts';
import { FakeHub } from '../support/fake-hub.ts';
import type { TestRequest } from '../support/http.ts';
import type { TestImage } from '../support/image.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic } from '../support/test-hubgate.ts';
import secrets from './fixtures/home-0.1/secrets.json' with { type: 'json' };
import { runVerb } from './support/terminal.ts';

const FIXTURE = path.join(import.meta.dirname, 'fixtures/home-0.1/home');
const DATABASES = ['state/auth.db', 'data/index.db'];
/** Git does not keep these modes. */
const SECRET_FILES = ['certs/ca.key', 'certs/server.key', 'config/users.yaml', 'state/signing-key.pem'];
const ALPINE = 'sha256:b1ad5729635df881374a6536369de7465b3cf756aceb884e567abbdeeee103c8';
const PAY_API = 'sha256:3879c76fdc03975717b11fb26e3bf7f3edba4b7a03d66fc37e929d5d602ec643';

let root: string;

before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'hubgate-upgrade-'));
});

after(() => rm(root, { recursive: true }));

/** Makes the home as it was on the disk. */
async function layOut(home: string): Promise<void> {
  await cp(FIXTURE, home, { recursive: true });
  for (const file of SECRET_FILES) await chmod(path.join(home, file), 0o600);
  for (const name of DATABASES) {
    const file = path.join(home, name);
    const database = new DatabaseSync(file);
    database.exec(await readFile(`${file}.sql`, 'utf8'));
    database.exec('PRAGMA journal_mode = WAL');
    database.close();
    await chmod(file, 0o600);
    await rm(`${file}.sql`);
  }
}

function versionOf(file: string): unknown {
  const database = new DatabaseSync(file);
  try {
    return database.prepare('PRAGMA user_version').get()?.user_version;
  } finally {
    database.close();
  }
}

/** Returns the image of a manifest in the cache of the fixture. */
async function cachedImage(digest: string): Promise<TestImage> {
  const blob = (name: string) => {
    const hex = name.slice('sha256:'.length);
    return readFile(path.join(FIXTURE, 'data/blobs/sha256', hex.slice(0, 2), hex));
  };
  const bytes = await blob(digest);
  const { config, layers, mediaType } = JSON.parse(bytes.toString());
  const blobs = new Map<Digest, Buffer>();
  for (const one of [config, ...layers]) {
    const content = await blob(one.digest);
    blobs.set(sha256Of(content), content);
  }
  const manifest = { digest: sha256Of(bytes), mediaType, bytes };
  const digests = layers.map((layer: { digest: string }) => parseDigest(layer.digest));
  return { ...manifest, manifests: [manifest], config: config.digest, layers: digests, blobs };
}

async function startHub(): Promise<FakeHub> {
  const hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/pay-api'] });
  hub.push('library/alpine', 'latest', await cachedImage(ALPINE));
  hub.push('acme/pay-api', 'latest', await cachedImage(PAY_API), { private: true });
  return hub;
}

function startMirror(hub: FakeHub): Promise<RunningMirror> {
  return RunningMirror.start({
    environment: {
      REGISTRY_PROXY_REMOTEURL: hub.url.href,
      REGISTRY_PROXY_USERNAME: ACCOUNT.username,
      REGISTRY_PROXY_PASSWORD: ACCOUNT.password,
    },
    prepare: ({ home }) => layOut(home),
  });
}

async function statusOf(mirror: RunningMirror, target: string, request: TestRequest): Promise<number> {
  return (await mirror.ask(target, request)).status;
}

/** Pulls `latest` with all that belongs to it. */
async function pull(mirror: RunningMirror, repository: string, request: TestRequest): Promise<void> {
  const manifest = await mirror.ask(`/v2/${repository}/manifests/latest`, request);
  assert.equal(manifest.status, 200, manifest.body.toString());
  const { config, layers } = JSON.parse(manifest.body.toString());
  for (const { digest } of [config, ...layers]) {
    const blob = await mirror.ask(`/v2/${repository}/blobs/${digest}`, request);
    assert.equal(sha256Of(blob.body), digest);
  }
}

test('a home of version 0.1 keeps its users, tokens, certificates, policy and cache', async () => {
  await using hub = await startHub();
  await using mirror = await startMirror(hub);
  const ana = { headers: { authorization: basic('ana', secrets.password) } };
  const ci = { headers: { authorization: basic('ci-pay', secrets.token) } };
  const alpine = '/v2/library/alpine/manifests/latest';
  await pull(mirror, 'library/alpine', ana);
  await pull(mirror, 'acme/pay-api', ci);
  // A tag is compared with that of the upstream, and nothing is downloaded again.
  assert.deepEqual(
    hub.takeRequests().filter((request) => /^GET .*\/(?:manifests|blobs)\//.test(request)),
    [],
  );
  assert.equal(await statusOf(mirror, '/v2/acme/pay-api/manifests/latest', ana), 404);
  assert.equal(await statusOf(mirror, '/v2/library/centos/manifests/latest', ana), 403);
  const revoked = { headers: { authorization: basic('ci-pay', secrets.revoked) } };
  assert.equal(await statusOf(mirror, alpine, revoked), 401);
  const bo = { headers: { authorization: basic('bo', 'another password') } };
  assert.equal(await statusOf(mirror, alpine, bo), 401);
  const { 'node-7': good, 'node-8': withdrawn } = secrets.nodes;
  const [cert = '', key] = good;
  // The longest certificate that 0.1 issued ends in 2029.
  if (Date.parse(new X509Certificate(cert).validTo) > Date.now()) {
    assert.equal(await statusOf(mirror, alpine, { cert, key }), 200);
    assert.equal(await statusOf(mirror, alpine, { cert: withdrawn[0], key: withdrawn[1] }), 401);
  }
  const listed = JSON.parse((await mirror.run('cert', 'list', '--json')).output) as Record<string, unknown>[];
  assert.deepEqual(listed.map(({ name, revoked }) => [name, revoked !== null]).toSorted(), [
    ['node-7', false],
    ['node-8', true],
  ]);
  assert.equal((await mirror.run('check')).code, 0);
  const { output } = await mirror.run('audit', '--since', '2026-11-01', '--until', '2026-12-01');
  assert.match(output, /user:ana .*docker\.io\/library\/alpine:latest/);
});

test('a backup of a home that 0.1 wrote, made before the first start of 0.2, is one that 0.1 reads', async () => {
  const [home, backup, restored] = ['home', 'backup', 'restored'].map((name) => path.join(root, name));
  assert.ok(home !== undefined && backup !== undefined && restored !== undefined);
  await layOut(home);
  const run = async (...args: string[]) => {
    const { code, stderr } = await runVerb(args);
    assert.equal(code, 0, stderr);
  };
  await run('backup', backup, '--home', home);
  // Every verb that opens the database upgrades it, as a start does.
  await run('token', 'list', '--home', home);
  assert.notEqual(versionOf(path.join(home, 'state/auth.db')), 1);
  await run('restore', backup, '--home', restored);
  // 0.1 refuses a database that says anything but 1.
  assert.equal(versionOf(path.join(restored, 'state/auth.db')), 1);
  for (const file of ['config/users.yaml', 'config/access.yaml', 'state/signing-key.pem', 'certs/ca.key'])
    assert.deepEqual(await readFile(path.join(restored, file)), await readFile(path.join(FIXTURE, file)));
});
