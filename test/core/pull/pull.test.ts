import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { assertBytes } from '../../support/assert-bytes.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, indexOf, manifestOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, PATIENT_LIMITS, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

let hub: FakeHub;
let core: TestCore;
let alpine: TestImage;
let secret: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  alpine = imageOf({ size: 300_000 });
  secret = imageOf({ size: 5_000 });
  hub.push('library/alpine', '3.20', alpine);
  hub.push('acme/secret', 'latest', secret, { private: true });
  core = await TestCore.start(hub);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function layerOf(image: TestImage) {
  const digest = image.layers[0];
  assert.ok(digest);
  return digest;
}

test('a cold pull by tag asks for a head, then for the manifest by digest; all of it is kept', async () => {
  const pulled = await core.ask('library/alpine/manifests/3.20');
  assert.equal(pulled.status, 200);
  assert.deepEqual(pulled.body, alpine.bytes);
  assert.equal(pulled.headers['content-type'], alpine.mediaType);
  assert.equal(pulled.headers['docker-content-digest'], alpine.digest);
  assert.equal(pulled.headers['hubgate-cache'], 'fill');
  assert.deepEqual(hub.takeRequests(), [
    'HEAD registry /v2/library/alpine/manifests/3.20',
    'GET token /token',
    'HEAD registry /v2/library/alpine/manifests/3.20',
    'GET token /token',
    `GET registry /v2/library/alpine/manifests/${alpine.digest}`,
  ]);
  assert.deepEqual(
    await core.blob(`library/alpine/blobs/${layerOf(alpine)}`),
    alpine.blobs.get(layerOf(alpine)),
  );
  assert.deepEqual(hub.takeRequests(), [
    `GET registry /v2/library/alpine/blobs/${layerOf(alpine)}`,
    `GET cdn /registry-v2/docker/registry/v2/blobs/${layerOf(alpine)}/data`,
  ]);
});

test('a second pull costs nothing; past the freshness of its tag it costs one HEAD', async () => {
  await core.ask('library/alpine/manifests/3.20');
  await core.blob(`library/alpine/blobs/${layerOf(alpine)}`);
  hub.takeRequests();

  const again = await core.ask('library/alpine/manifests/3.20');
  assert.equal(again.headers['hubgate-cache'], 'hit');
  assert.deepEqual(again.body, alpine.bytes);
  assert.equal((await core.ask(`library/alpine/manifests/${alpine.digest}`)).headers['hubgate-cache'], 'hit');
  assert.ok(Buffer.isBuffer(await core.blob(`library/alpine/blobs/${layerOf(alpine)}`)));
  assert.deepEqual(hub.takeRequests(), []);

  core.now += 61_000;
  const later = await core.ask('library/alpine/manifests/3.20');
  assert.equal(later.headers['hubgate-cache'], 'revalidated');
  assert.deepEqual(later.body, alpine.bytes);
  assert.deepEqual(hub.takeRequests(), ['HEAD registry /v2/library/alpine/manifests/3.20']);
});

test('a tag that has moved is noticed past its freshness, and what it pointed to is still there by digest', async () => {
  await core.ask('library/alpine/manifests/3.20');
  const moved = imageOf();
  hub.push('library/alpine', '3.20', moved);
  assert.deepEqual((await core.ask('library/alpine/manifests/3.20')).body, alpine.bytes);
  core.now += 61_000;
  assert.deepEqual((await core.ask('library/alpine/manifests/3.20')).body, moved.bytes);
  assert.deepEqual((await core.ask(`library/alpine/manifests/${alpine.digest}`)).body, alpine.bytes);
});

test('a tag stays what it was until what it names now can be had, whatever a HEAD said of it', async () => {
  await core.ask('library/alpine/manifests/3.20');
  hub.push('library/alpine', '3.20', imageOf());
  hub.plant('registry', /^GET \S+\/manifests/, { kind: 'status', status: 503 });
  core.now += 61_000;
  await core.ask('library/alpine/manifests/3.20', { method: 'HEAD' });
  for (let round = 0; round < 2; round++) {
    core.now += 61_000;
    const stale = await core.ask('library/alpine/manifests/3.20');
    assert.equal(stale.headers['hubgate-cache'], 'stale');
    assert.deepEqual(stale.body, alpine.bytes);
  }
});

test('a manifest that can be read as two things is neither sent nor kept', async () => {
  const both = manifestOf({ ...JSON.parse(alpine.bytes.toString()), manifests: [] }, alpine.mediaType);
  hub.push('library/two', 'latest', { ...alpine, ...both, manifests: [both] });
  assert.equal((await core.ask('library/two/manifests/latest')).status, 502);
  await assert.rejects(core.content(both.digest), { code: 'ENOENT' });
});

test('a tag that moves between HEAD and GET gives the manifest that the HEAD named', async () => {
  const moved = imageOf();
  const action = () => hub.push('library/alpine', '3.20', moved);
  hub.plant('registry', /^GET \/v2\/library\/alpine\/manifests/, { kind: 'after', action }, 1);
  const pulled = await core.ask('library/alpine/manifests/3.20');
  assert.equal(pulled.headers['docker-content-digest'], alpine.digest);
  assert.deepEqual(pulled.body, alpine.bytes);
});

test('an index and the images in it are pulled by digest', async () => {
  const other = imageOf();
  const index = indexOf([alpine, other]);
  hub.push('library/multi', 'latest', index);
  const pulled = await core.ask('library/multi/manifests/latest');
  assert.equal(pulled.headers['content-type'], 'application/vnd.oci.image.index.v1+json');
  assert.deepEqual(pulled.body, index.bytes);
  assert.deepEqual((await core.ask(`library/multi/manifests/${other.digest}`)).body, other.bytes);
});

test('HEAD stays HEAD: no manifest and no blob is moved, and no quota is used', async () => {
  hub.push('library/multi', 'latest', alpine);
  const manifest = await core.ask('library/alpine/manifests/3.20', { method: 'HEAD' });
  assert.equal(manifest.status, 200);
  assert.equal(manifest.headers['docker-content-digest'], alpine.digest);
  assert.equal(manifest.headers['content-length'], String(alpine.bytes.length));
  assert.equal(manifest.headers['content-type'], alpine.mediaType);
  // By digest it tells of the manifest itself, not of what a HEAD has learnt of it.
  for (const _ of ['first', 'again']) {
    const digest = await core.ask(`library/multi/manifests/${alpine.digest}`, { method: 'HEAD' });
    assert.deepEqual([digest.status, digest.headers['hubgate-cache']], [200, 'fill']);
  }
  const blob = await core.ask(`library/alpine/blobs/${layerOf(alpine)}`, { method: 'HEAD' });
  assert.equal(blob.status, 200);
  assert.equal(blob.headers['content-length'], '300000');
  assert.deepEqual(
    hub.log.filter(({ method, server }) => method === 'GET' && server !== 'token'),
    [],
  );
  assert.equal(hub.remaining, 100);
});

test('invariant 15: with the upstream gone, what is cached is still served, also after a restart', async () => {
  await core.ask('library/alpine/manifests/3.20');
  await core.blob(`library/alpine/blobs/${layerOf(alpine)}`);
  await hub.stop();
  await core.restart();
  core.now += 3_600_000;
  const stale = await core.ask('library/alpine/manifests/3.20');
  assert.equal(stale.status, 200);
  assert.equal(stale.headers['hubgate-cache'], 'stale');
  assert.equal(stale.headers.age, '3600');
  assert.deepEqual(stale.body, alpine.bytes);
  assert.deepEqual((await core.ask(`library/alpine/manifests/${alpine.digest}`)).body, alpine.bytes);
  assert.ok(Buffer.isBuffer(await core.blob(`library/alpine/blobs/${layerOf(alpine)}`)));
  core.now += 8 * 24 * 3_600_000;
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 502);
  assert.equal((await core.ask('library/alpine/manifests/3.20', { grant: 'private' })).status, 502);
  assert.equal((await core.ask(`library/alpine/manifests/${alpine.digest}`)).status, 502);
});

test('invariant 12: an upstream that cannot answer is never reported as "not found"', async () => {
  const statuses: [behaviour: Parameters<FakeHub['plant']>[2], status: number][] = [
    [{ kind: 'status', status: 503 }, 502],
    [{ kind: 'status', status: 500 }, 502],
    [{ kind: 'hang' }, 504],
    [
      {
        kind: 'raw',
        bytes: 'HTTP/1.1 429 Too Many Requests\nRetry-After: 60\n\nToo Many Requests (HAP429).\n',
      },
      429,
    ],
  ];
  for (const [behaviour, status] of statuses) {
    // What a host that is left alone said is said again, until it is there again.
    await core.restart({ limits: behaviour.kind === 'hang' ? SHORT_LIMITS : PATIENT_LIMITS });
    hub.plant('registry', /./, behaviour);
    assert.equal((await core.ask('library/alpine/manifests/3.20')).status, status, JSON.stringify(behaviour));
    assert.equal(
      (await core.ask(`library/alpine/blobs/${layerOf(alpine)}`)).status,
      status,
      JSON.stringify(behaviour),
    );
    hub.heal();
  }
  await core.restart({ limits: PATIENT_LIMITS });
  hub.plant('token', /./, { kind: 'status', status: 500 });
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 502);
});

test('invariant 12: "no" is believed at once, although there is a copy', async () => {
  await core.ask('library/alpine/manifests/3.20');
  hub.removeTag('library/alpine', '3.20');
  core.now += 61_000;
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 404);
  await hub.stop();
  core.now += 61_000;
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 502);
});

test('the pull limit: 429 with Retry-After where there is no copy, and the copy where there is one', async () => {
  await core.ask('library/alpine/manifests/3.20');
  hub.push('library/other', 'latest', imageOf());
  hub.remaining = 0;
  const cold = await core.ask('library/other/manifests/latest');
  assert.equal(cold.status, 429);
  assert.equal(cold.headers['retry-after'], '60');
  core.now += 61_000;
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 200);
});

test('invariant 3: a private repository is as if it were not there, unless the grant reaches private ones', async () => {
  // The very first question of an upstream costs one more.
  await core.ask('library/alpine/manifests/3.20', { method: 'HEAD' });
  const refused = await core.ask('acme/secret/manifests/latest');
  const missing = await core.ask('acme/nothing/manifests/latest');
  assert.equal(refused.status, 404);
  const { date: _, ...headers } = refused.headers;
  assert.deepEqual({ ...missing.headers, date: undefined }, { ...headers, date: undefined });
  assert.deepEqual(missing.body, refused.body);

  assert.deepEqual((await core.ask('acme/secret/manifests/latest', { grant: 'private' })).body, secret.bytes);
  assert.ok(Buffer.isBuffer(await core.blob(`acme/secret/blobs/${layerOf(secret)}`, 'private')));
  hub.takeRequests();
  for (const target of [
    'acme/secret/manifests/latest',
    `acme/secret/manifests/${secret.digest}`,
    `acme/secret/blobs/${layerOf(secret)}`,
    'acme/secret/tags/list',
    `acme/secret/referrers/${secret.digest}`,
  ]) {
    assert.equal((await core.ask(target)).status, 404, target);
    assert.equal((await core.ask(target, { method: 'HEAD' })).status, 404, target);
  }
});

test('invariant 3: for a grant of public content nothing is asked with the credential before it is known to be public', async () => {
  const targets = ['manifests/latest', `manifests/${secret.digest}`, `blobs/${layerOf(secret)}`];
  for (const target of targets) assert.equal((await core.ask(`acme/secret/${target}`)).status, 404, target);
  assert.deepEqual(
    hub.log.filter(({ server, headers }) => server === 'token' && headers.authorization),
    [],
  );
});

test('invariant 3: where visibility cannot be determined, it is private', async () => {
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  await hub.stop();
  assert.equal((await core.ask('acme/secret/manifests/latest')).status, 502);
  assert.equal((await core.ask(`acme/secret/manifests/${secret.digest}`)).status, 502);
});

test('what anonymous is refused is not taken back from the account', async () => {
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  assert.equal((await core.ask('acme/secret/manifests/latest')).status, 404);
  await hub.stop();
  const cached = await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  assert.deepEqual([cached.status, cached.headers['hubgate-cache']], [200, 'hit']);
});

test('invariants 2 and 3: a question is shared only by those who ask as the same, of the same repository', async () => {
  const blob = `blobs/${layerOf(secret)}`;
  const config = `blobs/${secret.config}`;
  // So that it only has to be confirmed.
  hub.push('acme/open', 'latest', secret);
  for (const target of [blob, config]) await core.blob(`acme/open/${target}`, 'private');
  for (const [foreign, own, grant] of [
    [`library/alpine/manifests/${secret.digest}`, `acme/secret/manifests/${secret.digest}`, 'private'],
    ['acme/secret/manifests/latest', 'acme/secret/manifests/latest', 'public'],
    [`acme/secret/${blob}`, `acme/secret/${blob}`, 'public'],
    [`library/alpine/${config}`, `acme/secret/${config}`, 'private'],
  ] as const) {
    // A token has to be had first, so the two are under way at once.
    core.now += 301_000;
    const both = await Promise.all([core.ask(own, { grant: 'private' }), core.ask(foreign, { grant })]);
    assert.deepEqual(
      both.map(({ status }) => status),
      [200, 404],
      foreign,
    );
  }
});

test('invariant 3: a repository that becomes private is withdrawn within the freshness of what is asked', async () => {
  await core.ask('library/alpine/manifests/3.20');
  hub.setPrivate('library/alpine', true);
  core.now += 61_000;
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 404);
  assert.equal((await core.ask(`library/alpine/manifests/${alpine.digest}`)).status, 404);
});

test('invariant 3: a digest alone is asked about again after ten minutes', async () => {
  await core.ask('library/alpine/manifests/3.20');
  hub.setPrivate('library/alpine', true);
  assert.equal((await core.ask(`library/alpine/manifests/${alpine.digest}`)).status, 200);
  core.now += 11 * 60_000;
  assert.equal((await core.ask(`library/alpine/manifests/${alpine.digest}`)).status, 404);
});

for (const kind of ['blob', 'manifest'] as const) {
  test(`invariant 3: a ${kind} of what was public is not fetched with the credential before it is known to be so still`, async () => {
    hub.push('library/multi', 'latest', indexOf([alpine]));
    hub.accounts.length = 0;
    hub.accounts.push({ ...ACCOUNT, repositories: ['library/multi'] });
    await core.ask('library/multi/manifests/latest');
    hub.setPrivate('library/multi', true);
    core.now += 11 * 60_000;
    const target = kind === 'blob' ? `blobs/${layerOf(alpine)}` : `manifests/${alpine.digest}`;
    assert.equal((await core.ask(`library/multi/${target}`)).status, 404);
  });
}

test('a hung upstream costs who has a cached answer no more than the time for revalidating', async (t) => {
  const patience = { connect: 60_000, headers: 60_000, bodyIdle: 60_000, token: 60_000, question: 60_000 };
  const limits = { ...SHORT_LIMITS, ...patience, revalidation: 50 };
  const patient = await TestCore.start(hub, { limits });
  t.after(() => patient[Symbol.asyncDispose]());
  await patient.ask('library/alpine/manifests/3.20');
  hub.plant('registry', /./, { kind: 'hang' });
  patient.now += 61_000;
  const stale = await patient.ask('library/alpine/manifests/3.20');
  assert.deepEqual([stale.status, stale.headers['hubgate-cache']], [200, 'stale']);
});

test('invariant 12: what even the account may not read any longer is forgotten, whatever was learnt of it', async () => {
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  await core.blob(`acme/secret/blobs/${layerOf(secret)}`, 'private');
  hub.accounts.length = 0;
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  core.now += 61_000;
  assert.equal((await core.ask('acme/secret/manifests/latest', { grant: 'private' })).status, 404);
  await hub.stop();
  for (const target of [`manifests/${secret.digest}`, `blobs/${layerOf(secret)}`]) {
    const { status } = await core.ask(`acme/secret/${target}`, { grant: 'private' });
    assert.equal(status, 404, target);
  }
});

test('invariant 12: a "no" to one question takes back a tag that was confirmed a moment ago', async () => {
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  hub.accounts.length = 0;
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  await core.ask('acme/secret/tags/list', { grant: 'private' });
  assert.equal((await core.ask('acme/secret/manifests/latest', { grant: 'private' })).status, 404);
});

test('invariant 12: a "no" to a fetch of one digest takes back the others', async () => {
  const platform = imageOf();
  hub.push('acme/secret', 'multi', indexOf([secret, platform]));
  for (const missing of [`blobs/${layerOf(secret)}`, `manifests/${platform.digest}`]) {
    await core.ask('acme/secret/manifests/latest', { grant: 'private' });
    hub.accounts.length = 0;
    hub.accounts.push({ ...ACCOUNT, repositories: [] });
    assert.equal((await core.ask(`acme/secret/${missing}`, { grant: 'private' })).status, 404);
    const cached = await core.ask(`acme/secret/manifests/${secret.digest}`, { grant: 'private' });
    assert.equal(cached.status, 404, missing);
    hub.accounts.length = 0;
    hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
    core.now += 61_000;
  }
});

test('invariant 2: a blob in the cache is not served in a repository that does not contain it', async () => {
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  await core.blob(`acme/secret/blobs/${layerOf(secret)}`, 'private');
  await core.ask('library/alpine/manifests/3.20');
  const unknown = await core.ask(`library/alpine/blobs/sha256:${'0'.repeat(64)}`);
  for (const grant of ['public', 'private']) {
    const stolen = await core.ask(`library/alpine/blobs/${layerOf(secret)}`, { grant });
    assert.equal(stolen.status, 404, grant);
    assert.deepEqual(stolen.body, unknown.body);
    assert.equal(
      (await core.ask(`library/alpine/blobs/${layerOf(secret)}`, { method: 'HEAD', grant })).status,
      404,
    );
    assert.equal((await core.ask(`library/alpine/manifests/${secret.digest}`, { grant })).status, 404);
  }
});

test('invariant 2: a manifest is not served as a blob, nor in a repository that merely names it', async () => {
  const naming = indexOf([{ ...secret, manifests: [] }]);
  hub.push('library/naming', 'latest', { ...naming, blobs: new Map() });
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  await core.ask('library/naming/manifests/latest');
  assert.equal((await core.ask(`library/naming/manifests/${secret.digest}`)).status, 404);
  assert.equal((await core.ask(`library/alpine/blobs/${alpine.digest}`)).status, 404);
});

test('the same layer in a second repository costs one HEAD there, and no bytes', async () => {
  hub.push('acme/open', 'latest', alpine);
  await core.blob(`library/alpine/blobs/${layerOf(alpine)}`);
  await core.ask('acme/open/manifests/latest');
  const before = hub.log.length;
  assert.ok(Buffer.isBuffer(await core.blob(`acme/open/blobs/${layerOf(alpine)}`)));
  assert.deepEqual(
    hub.log.slice(before).map(({ server, method }) => `${method} ${server}`),
    ['HEAD registry'],
  );
});

test('invariant 2: joining a fill of another repository needs the upstream to confirm it in one’s own', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1000, gate: gate.promise });
  const first = core.blob(`library/alpine/blobs/${layerOf(alpine)}`);
  await waitFor(() => hub.log.some(({ server }) => server === 'cdn'));
  hub.push('acme/open', 'latest', imageOf());
  assert.equal((await core.ask(`acme/open/blobs/${layerOf(alpine)}`)).status, 404);
  // Nor does it help that the repository is known to be public, or that private ones may be had.
  await core.ask('acme/open/manifests/latest');
  core.now += 31_000;
  for (const grant of ['public', 'private']) {
    assert.equal((await core.ask(`acme/open/blobs/${layerOf(alpine)}`, { grant })).status, 404, grant);
  }
  gate.resolve();
  assert.ok(Buffer.isBuffer(await first));
});

test('one fill for all who ask at once', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1000, gate: gate.promise });
  const readers = Array.from({ length: 20 }, () => core.blob(`library/alpine/blobs/${layerOf(alpine)}`));
  await waitFor(() => hub.log.some(({ server }) => server === 'cdn'));
  readers.push(core.blob(`library/alpine/blobs/${layerOf(alpine)}`));
  gate.resolve();
  for (const read of await Promise.all(readers)) assertBytes(read, alpine.blobs.get(layerOf(alpine)));
  assert.equal(hub.log.filter(({ server }) => server === 'cdn').length, 1);
});

test('invariant 8: wrong, cut and unfit content never enters the cache', async () => {
  const layer = `library/alpine/blobs/${layerOf(alpine)}`;
  for (const behaviour of [
    { kind: 'drop', at: 2_000 },
    { kind: 'corrupt', at: 150_000 },
  ] as const) {
    hub.plant('cdn', /^GET/, behaviour);
    const { body } = await core.ask(layer);
    hub.heal();
    assert.match(body.toString(), /\{"kind":"failed"[^\n]*\}\n$/, behaviour.kind);
    await assert.rejects(core.content(layerOf(alpine)), { code: 'ENOENT' });
  }
  hub.plant('registry', /^GET \S+\/manifests/, { kind: 'corrupt', at: 20 }, 1);
  assert.equal((await core.ask('library/alpine/manifests/3.20')).status, 502);
  await assert.rejects(core.content(alpine.digest), { code: 'ENOENT' });
  assertBytes(await core.blob(layer), alpine.blobs.get(layerOf(alpine)));
});

test('invariant 11: a reader that goes away does not stop a fill', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1000, gate: gate.promise });
  const left = core.leave(`library/alpine/blobs/${layerOf(alpine)}`);
  await left;
  gate.resolve();
  await waitFor(async () => Buffer.isBuffer(await core.content(layerOf(alpine)).catch(() => undefined)));
  assert.equal(hub.log.filter(({ server }) => server === 'cdn').length, 1);
});

test('a list of tags that was read before stands in while the upstream is gone, and says so', async () => {
  const list = 'library/alpine/tags/list?n=5';
  const read = await core.ask(list);
  await hub.stop();
  core.now += 3_600_000;
  const stale = await core.ask(list);
  assert.deepEqual([stale.status, stale.headers['hubgate-cache'], stale.headers.age], [200, 'stale', '3600']);
  assert.deepEqual(stale.body, read.body);
  assert.equal((await core.ask('library/alpine/tags/list?n=6')).status, 200);
  core.now += 8 * 24 * 3_600_000;
  assert.equal((await core.ask(list)).status, 502);
});

test('invariant 3: a list of tags of a private repository does not stand in for a grant of public content', async () => {
  const list = 'acme/secret/tags/list';
  assert.equal((await core.ask(list, { grant: 'private' })).status, 200);
  await hub.stop();
  assert.equal((await core.ask(list)).status, 502);
  assert.equal((await core.ask(list, { grant: 'private' })).headers['hubgate-cache'], 'stale');
});

test('invariant 12: a list of tags does not stand in where the upstream says that there is none', async () => {
  const list = 'library/alpine/tags/list';
  await core.ask(list);
  hub.plant('registry', /tags/, { kind: 'status', status: 404 });
  assert.equal((await core.ask(list)).status, 404);
});

test('a list of tags that is longer than a megabyte is sent, and not kept', async () => {
  const list = 'library/alpine/tags/list';
  const body = JSON.stringify({ name: 'library/alpine', tags: ['x'.repeat(1024 * 1024)] });
  hub.plant('registry', /tags/, { kind: 'status', status: 200, body });
  assert.equal((await core.ask(list)).body.toString(), body);
  await hub.stop();
  assert.equal((await core.ask(list)).status, 502);
});

test('tags are listed page by page', async () => {
  for (const tag of ['a', 'b', 'c']) hub.push('library/alpine', tag, alpine);
  const page = await core.ask('library/alpine/tags/list?n=2');
  assert.deepEqual(JSON.parse(page.body.toString()).tags, ['3.20', 'a']);
  assert.equal(page.headers['hubgate-next'], 'n=2&last=a');
  const rest = await core.ask('library/alpine/tags/list?n=2&last=a');
  assert.deepEqual(JSON.parse(rest.body.toString()).tags, ['b', 'c']);
  assert.equal(rest.headers['hubgate-next'], undefined);
});

test('invariant 12: that the upstream cannot say what refers to a manifest is not that nothing does', async () => {
  hub.plant('registry', /referrers/, { kind: 'status', status: 503 });
  assert.equal((await core.ask(`library/alpine/referrers/${alpine.digest}`)).status, 502);
});
