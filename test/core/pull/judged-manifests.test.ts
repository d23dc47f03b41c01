import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import type { ManifestMediaType } from '../../../src/registry/media-type.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, indexOf, manifestOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

let hub: FakeHub;
let core: TestCore;
let image: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf();
  core = await TestCore.start(hub);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** Puts bytes into the cache as a blob of a repository of its own. */
async function cacheAsBlob(bytes: Buffer): Promise<Digest> {
  const digest = sha256Of(bytes);
  hub.push('acme/layers', 'latest', { ...image, blobs: new Map([...image.blobs, [digest, bytes]]) });
  assert.ok(Buffer.isBuffer(await core.blob(`acme/layers/blobs/${digest}`)));
  return digest;
}

/** Pulls by tag and by digest, and returns both statuses. */
async function pull(digest: Digest): Promise<number[]> {
  const targets = ['manifests/latest', `manifests/${digest}`];
  const answers = await Promise.all(targets.map((target) => core.ask(`acme/app/${target}`)));
  return answers.map(({ status }) => status);
}

const UNFIT: Readonly<Record<string, object>> = {
  'is an index and an image at once': { schemaVersion: 2, manifests: [], layers: [], config: {} },
  'is nested too deep': { schemaVersion: 2, layers: [], a: JSON.parse('['.repeat(40) + ']'.repeat(40)) },
  'names a digest that is not text': { schemaVersion: 2, layers: [{ digest: { toString: null } }] },
};

for (const [what, document] of Object.entries(UNFIT)) {
  test(`what ${what} is not served as a manifest, fetched or out of the cache`, async () => {
    const unfit = manifestOf(document, IMAGE);
    hub.push('acme/app', 'latest', { ...image, ...unfit, manifests: [unfit] });
    assert.deepEqual(await pull(unfit.digest), [502, 502]);
    await assert.rejects(core.content(unfit.digest), { code: 'ENOENT' });
    await cacheAsBlob(unfit.bytes);
    for (let twice = 0; twice < 2; twice++) assert.deepEqual(await pull(unfit.digest), [502, 502]);
    core.now += 61_000;
    assert.deepEqual(await pull(unfit.digest), [502, 502]);
    await hub.stop();
    core.now += 61_000;
    assert.deepEqual(await pull(unfit.digest), [502, 502]);
  });
}

test('an upstream that gives the digest of a large layer for a manifest gets none of it served', async () => {
  const digest = await cacheAsBlob(randomBytes(5 * 1024 * 1024));
  hub.push('acme/app', 'latest', image);
  const headers = { 'content-type': IMAGE, 'docker-content-digest': digest };
  for (const size of ['100', String(5 * 1024 * 1024)]) {
    const lie = { kind: 'status', status: 200, headers: { ...headers, 'content-length': size } } as const;
    hub.plant('registry', /HEAD \S+acme\/app/, lie);
    assert.equal((await core.ask('acme/app/manifests/latest')).status, 502, size);
    assert.equal((await core.ask(`acme/app/manifests/${digest}`)).status, 502, size);
    hub.heal();
    core.now += 61_000;
  }
  hub.plant('registry', /HEAD \S+acme\/app/, {
    kind: 'status',
    status: 200,
    headers: { ...headers, 'content-length': String(5 * 1024 * 1024) },
  });
  assert.equal((await core.ask('acme/app/manifests/latest', { method: 'HEAD' })).status, 502);
});

test('stored content that is larger than a manifest may be is not sent as one, even if it is fit otherwise', async () => {
  const config = { digest: image.digest, size: 2, mediaType: 'application/vnd.oci.image.config.v1+json' };
  const large = {
    schemaVersion: 2,
    mediaType: IMAGE,
    config,
    layers: [],
    annotations: { a: 'x'.repeat(5 * 1024 * 1024) },
  };
  const digest = await cacheAsBlob(Buffer.from(JSON.stringify(large)));
  hub.push('acme/app', 'latest', image);
  const headers = { 'content-type': IMAGE, 'docker-content-digest': digest, 'content-length': '100' };
  hub.plant('registry', /HEAD \S+acme\/app/, { kind: 'status', status: 200, headers });
  assert.deepEqual(await pull(digest), [502, 502]);
});

test('a manifest out of the cache is sent only as a type that its bytes are fit for', async () => {
  hub.push('acme/app', 'latest', image);
  await core.ask('acme/app/manifests/latest');
  const claim = (mediaType: ManifestMediaType) => {
    hub.heal();
    core.now += 61_000;
    const headers = {
      'content-type': mediaType,
      'docker-content-digest': image.digest,
      'content-length': '9',
    };
    hub.plant('registry', /HEAD \S+acme\/other/, { kind: 'status', status: 200, headers });
  };
  for (const mediaType of [INDEX, DOCKER_IMAGE] as const) {
    claim(mediaType);
    assert.equal((await core.ask('acme/other/manifests/latest')).status, 502, mediaType);
    assert.equal((await core.ask(`acme/other/manifests/${image.digest}`)).status, 502, mediaType);
  }
  claim(IMAGE);
  const { status, headers } = await core.ask('acme/other/manifests/latest');
  assert.deepEqual([status, headers['content-type']], [200, IMAGE]);
});

test('a manifest that came as a blob is judged once, and its children are used with it', async () => {
  const index = indexOf([image]);
  await cacheAsBlob(index.bytes);
  hub.push('acme/app', 'latest', index);
  hub.log.length = 0;
  for (let twice = 0; twice < 2; twice++) {
    const pulled = await core.ask('acme/app/manifests/latest');
    assert.deepEqual([pulled.status, pulled.headers['content-type']], [200, INDEX]);
  }
  assert.ok(hub.log.every(({ method, server }) => server === 'token' || method === 'HEAD'));
  await core.restart();
  assert.equal((await core.ask('acme/app/manifests/latest')).status, 200);
});

const DOCUMENTS: Readonly<Record<string, string>> = {
  null: 'null',
  HTML: '<html><body>Sign in</body></html>',
  'an object without a list': '{}',
  'a list of numbers': '{"name":"acme/app","tags":[1]}',
  'deep JSON': `{"name":${'['.repeat(100)}${']'.repeat(100)}}`,
  'JSON that does not end': '['.repeat(1_000_000),
};

for (const [what, body] of Object.entries(DOCUMENTS)) {
  test(`${what} is not sent as a list of tags, nor as referrers: it is trouble of the upstream`, async () => {
    hub.push('acme/app', 'latest', image);
    hub.plant('registry', /tags|referrers/, { kind: 'status', status: 200, body });
    assert.equal((await core.ask('acme/app/tags/list')).status, 502);
    assert.equal((await core.ask(`acme/app/referrers/${image.digest}`)).status, 502);
  });
}

test('an index is the answer to a question for referrers, and nothing else is', async () => {
  hub.push('acme/app', 'latest', image);
  const { bytes } = manifestOf({ schemaVersion: 2, mediaType: INDEX, manifests: [] }, INDEX);
  hub.plant('registry', /referrers/, { kind: 'status', status: 200, body: bytes.toString() }, 1);
  const referrers = await core.ask(`acme/app/referrers/${image.digest}`);
  assert.deepEqual(referrers.body, bytes);
  hub.plant('registry', /referrers/, { kind: 'status', status: 200, body: image.bytes.toString() });
  const stale = await core.ask(`acme/app/referrers/${image.digest}`);
  assert.deepEqual([stale.headers['hubgate-cache'], stale.body], ['stale', bytes]);
  await core.restart({ staleIfError: 0 });
  assert.equal((await core.ask(`acme/app/referrers/${image.digest}`)).status, 502);
});

test('a repository without tags has a list all the same', async () => {
  hub.push('acme/app', 'latest', image);
  hub.plant('registry', /tags/, { kind: 'status', status: 200, body: '{"name":"acme/app","tags":null}' });
  assert.equal((await core.ask('acme/app/tags/list')).status, 200);
});
