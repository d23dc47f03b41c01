import assert from 'node:assert/strict';
import { lstat, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { assertBytes } from '../../support/assert-bytes.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

const SIZE = 300_000;

let hub: FakeHub;
let core: TestCore;
let log: LoggedLine[];
let image: TestImage;
let bytes: Buffer;
let layer: string;
let partial: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf({ size: SIZE });
  hub.push('library/alpine', 'latest', image);
  log = [];
  core = await TestCore.start(hub, { log: testLog(log) });
  const digest = image.layers[0] ?? assert.fail();
  bytes = image.blobs.get(digest) ?? assert.fail();
  layer = `library/alpine/blobs/${digest}`;
  partial = path.join(core.directory, 'data/partial', digest.replace(':', '-'));
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function downloads() {
  return hub.log.filter(({ server, method }) => server === 'cdn' && method === 'GET');
}

function isGone(): Promise<boolean> {
  return lstat(partial).then(
    () => false,
    () => true,
  );
}

function complaints() {
  return log.filter(({ msg }) => msg.startsWith('the cache cannot be written'));
}

/** Asks, and returns the last thing that was said of the fill. */
async function fill(): Promise<string> {
  const { body } = await core.ask(layer);
  return JSON.parse(body.toString().trim().split('\n').at(-1) ?? '').kind;
}

test('what breaks off is asked for from there on, by a new redirect, and nobody notices', async () => {
  for (const at of [100_000, 50_000, 0]) hub.plant('cdn', /^GET/, { kind: 'drop', at }, 1);
  assertBytes(await core.blob(layer), bytes);
  const ranges = downloads().map(({ headers }) => headers.range);
  assert.equal(ranges[0], undefined);
  for (const range of ranges.slice(1)) assert.match(range ?? '', new RegExp(`^bytes=\\d+-${SIZE - 1}$`));
  assert.equal(ranges.length, 4);
  assert.equal(hub.log.filter(({ status }) => status === 307).length, 4 + 1, 'and one for the HEAD before');
});

test('an upstream that takes no ranges mends it too', async () => {
  hub.plant('cdn', /^GET/, { kind: 'drop', at: 100_000 }, 1);
  hub.plant('cdn', /^GET/, { kind: 'whole' });
  assertBytes(await core.blob(layer), bytes);
});

test('what cannot be mended fails after five times; what was received is not asked for again', async () => {
  hub.plant('cdn', /^GET/, { kind: 'drop', at: 20_000 });
  assert.equal(await fill(), 'failed');
  assert.equal(downloads().length, 6);
  const { size: left } = await stat(partial);
  assert.ok(left > 0);
  hub.heal();
  hub.log.length = 0;
  assertBytes(await core.blob(layer), bytes);
  assert.deepEqual(
    downloads().map(({ headers }) => headers.range),
    [`bytes=${left}-`],
  );
});

test('a fill survives a restart', async () => {
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 200_000, gate: new Promise(() => {}) }, 1);
  await core.leave(layer);
  await waitFor(async () => (await stat(partial).catch(() => undefined))?.size === 200_000);
  await core.restart();
  hub.log.length = 0;
  assertBytes(await core.blob(layer), bytes);
  assert.deepEqual(
    downloads().map(({ headers }) => headers.range),
    ['bytes=200000-'],
  );
});

test('invariant 8: what was left is hashed with the rest: where it is wrong, it goes, and the next fill begins anew', async () => {
  await writeFile(partial, Buffer.alloc(1000));
  assert.equal(await fill(), 'failed');
  await waitFor(isGone);
  assertBytes(await core.blob(layer), bytes);
});

test('what was left goes where the upstream says no, and stays where it cannot answer', async () => {
  await core.ask('library/alpine/manifests/latest');
  await writeFile(partial, bytes.subarray(0, 1000));
  hub.plant('registry', /blobs/, { kind: 'status', status: 503 });
  assert.equal((await core.ask(layer)).status, 502);
  assert.equal((await stat(partial)).size, 1000);
  hub.heal();
  hub.plant('registry', /blobs/, { kind: 'status', status: 404 });
  assert.equal((await core.ask(layer)).status, 404);
  assert.ok(await isGone());
});

test('a fill that never began leaves nothing', async () => {
  await core.ask('library/alpine/manifests/latest');
  hub.plant('registry', /blobs/, { kind: 'status', status: 503 });
  assert.equal((await core.ask(layer)).status, 502);
  assert.ok(await isGone());
});

test('what was left and is longer than the blob is thrown away', async () => {
  await writeFile(partial, Buffer.alloc(SIZE + 1));
  assertBytes(await core.blob(layer), bytes);
});

test('invariant 11: a cache that cannot be written is passed by, complained of once, and used again when it can be', async () => {
  const directory = path.dirname(partial);
  await rm(directory, { recursive: true });
  await writeFile(directory, 'in the way');
  for (let round = 0; round < 2; round++) {
    const passed = await core.ask(layer);
    assert.equal(passed.headers['hubgate-cache'], 'bypass');
    assert.equal(passed.headers['content-length'], String(SIZE));
    assertBytes(passed.body, bytes);
    const manifest = await core.ask('library/alpine/manifests/latest');
    assert.deepEqual(manifest.body, image.bytes);
  }
  assert.equal(complaints().length, 1);
  await rm(directory);
  await core.restart();
  assertBytes(await core.blob(layer), bytes);
});

test('a blob of many pieces is right past a cache that cannot be written, though they share their memory', async () => {
  const large = imageOf({ size: 16 * 1024 * 1024 });
  hub.push('library/large', 'latest', large);
  const digest = large.layers[0] ?? assert.fail();
  await rm(path.dirname(partial), { recursive: true });
  await writeFile(path.dirname(partial), 'in the way');
  const { body } = await core.ask(`library/large/blobs/${digest}`);
  assertBytes(body, large.blobs.get(digest) ?? assert.fail());
});

test('invariant 11: what cannot be published is whole for its readers, complained of, and leaves no partial', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1000, gate: gate.promise });
  const filling = fill();
  await waitFor(() => downloads().length === 1);
  const hex = layer.split(':').at(-1) ?? '';
  await writeFile(path.join(core.directory, 'data/blobs/sha256', hex.slice(0, 2)), 'in the way');
  gate.resolve();
  assert.equal(await filling, 'verified');
  await waitFor(isGone);
  assert.equal(complaints().length, 1);
});

test('who asks while a fill that failed is being cleared away is owed another try', async () => {
  for (let turn = 0; turn < 10; turn++) {
    const content = Buffer.alloc(SIZE, turn);
    const several = imageOf({ layers: [content] });
    hub.push('library/alpine', `turn-${turn}`, several);
    layer = `library/alpine/blobs/${several.layers[0]}`;
    hub.plant('cdn', /^GET/, { kind: 'corrupt', at: 10 }, 1);
    assert.equal(await fill(), 'failed');
    assertBytes(await core.blob(layer), content);
  }
});
