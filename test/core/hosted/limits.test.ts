import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { HostedDatabase } from '../../../src/core/hosted/hosted-database.ts';
import type { HostedStep } from '../../../src/core/hosted/hosted-step.ts';
import { SqliteHostedDatabase } from '../../../src/core/hosted/sqlite-hosted-database.ts';
import { digestOf, errorOf, HostedCore, OCI_INDEX } from '../../support/hosted-core.ts';
import { QUIET } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR = 60 * 60_000;

test('a subject has a bounded number of uploads, and all together have one', async () => {
  await using core = await HostedCore.start({}, { openPerSubject: 2, open: 3, waitForPlace: 0 });
  const first = await core.begin();
  await core.begin();
  const third = await core.write('POST', 'blobs/uploads/', { body: '' });
  assert.deepEqual(
    [third.status, errorOf(third).code, third.headers['retry-after']],
    [429, 'TOOMANYREQUESTS', '5'],
  );
  await core.begin({ subject: 'user:bo' });
  assert.equal((await core.write('POST', 'blobs/uploads/', { body: '', subject: 'user:cy' })).status, 429);
  assert.equal((await core.write('DELETE', first)).status, 204);
  await core.begin({ subject: 'user:cy' });
});

test('an upload beyond the bound waits for the end of another one', async () => {
  await using core = await HostedCore.start({}, { openPerSubject: 1 });
  const first = await core.begin();
  const second = core.begin();
  await core.write('DELETE', first);
  await second;
});

test('an upload beyond the bound waits no longer than its time, and then it is refused', async () => {
  await using core = await HostedCore.start({}, { openPerSubject: 1, waitForPlace: 200 });
  await core.begin();
  const begun = performance.now();
  const late = await core.write('POST', 'blobs/uploads/', { body: '' });
  // Only the least time is asserted, because a busy machine answers later.
  assert.ok(performance.now() - begun > 190);
  assert.deepEqual([late.status, late.headers['retry-after']], [429, '5']);
});

test('a push leaves a part of the disk free, whether it begins or would fill it', async () => {
  await using full = await HostedCore.start({}, { diskReserve: 1 });
  const refused = await full.write('POST', 'blobs/uploads/', { body: '' });
  assert.deepEqual([refused.status, errorOf(refused).code], [403, 'DENIED']);
  assert.match(errorOf(refused).message, /the disk of the hosted repositories is nearly full/);
  await using core = await HostedCore.start({}, { diskReserve: 0, maxBlob: Number.MAX_SAFE_INTEGER });
  const upload = await core.begin();
  const { blocks, bsize } = await statfs(core.directory);
  const sent = core.open('PATCH', upload, { 'content-length': String(blocks * bsize + 1) });
  sent.on('error', () => {});
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  // The body has not begun, and what it would take is announced.
  assert.equal(response.statusCode, 403);
  sent.destroy();
  // That upload has ended. Another one that fits is taken.
  assert.equal((await core.write('PATCH', upload, { body: 'fits' })).status, 403);
  assert.equal((await core.write('PATCH', await core.begin(), { body: 'fits' })).status, 202);
});

test('a repository has a bounded number of tags, and those that it has can still be moved', async () => {
  await using core = await HostedCore.start({}, { maxTags: 2 });
  const index = (text: string) =>
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], annotations: { text } });
  for (const tag of ['a', 'b']) assert.equal((await core.pushManifest(tag, index(tag))).status, 201);
  const refused = await core.pushManifest('c', index('c'));
  assert.deepEqual([refused.status, errorOf(refused).code], [403, 'DENIED']);
  assert.match(errorOf(refused).message, /acme\/app has 2 tags, and no further one is accepted/);
  // Nothing of it is there.
  assert.equal((await core.read(`manifests/${digestOf(index('c'))}`)).status, 404);
  const beside = await core.pushManifest(`${digestOf(index('c'))}?tag=b&tag=c`, index('c'));
  assert.equal(beside.status, 403);
  assert.equal((await core.read('manifests/b')).headers['docker-content-digest'], digestOf(index('b')));
  assert.equal((await core.pushManifest('b', index('c'))).status, 201);
  assert.equal((await core.pushManifest('a', index('a'), { repository: 'acme/other' })).status, 201);
  assert.equal((await core.write('DELETE', 'manifests/a')).status, 202);
  assert.equal((await core.pushManifest('c', index('c'))).status, 201);
});

test('an image has a bounded number of referrers, and those that it has can be pushed again', async () => {
  await using core = await HostedCore.start({}, { maxReferrers: 2 });
  const subject = { mediaType: OCI_INDEX, digest: digestOf('an image'), size: 8 };
  const referrer = (text: string, of: object = subject) =>
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
      ...{ subject: of, annotations: { text } },
    });
  const push = (text: string) => core.pushManifest(digestOf(text), text);
  for (const text of ['a', 'b', 'a']) assert.equal((await push(referrer(text))).status, 201, text);
  const refused = await push(referrer('c'));
  assert.deepEqual([refused.status, errorOf(refused).code], [403, 'DENIED']);
  assert.match(errorOf(refused).message, /has 2 referrers, and no further one is accepted/);
  const other = { ...subject, digest: digestOf('another image') };
  assert.equal((await push(referrer('c', other))).status, 201);
});

test('an upload that nobody touches for an hour is removed, and no other', async () => {
  await using core = await HostedCore.start({}, { sweepEvery: 10 });
  const idle = await core.begin();
  const used = await core.begin();
  core.core.now += HOUR / 2;
  assert.equal((await core.write('PATCH', used, { body: 'x' })).status, 202);
  core.core.now += HOUR / 2 + 1;
  await waitFor(async () => (await readdir(`${core.directory}/uploads`)).length === 1);
  assert.equal((await core.write('GET', idle)).status, 404);
  assert.equal((await core.write('GET', used)).status, 204);
  core.core.now += 24 * HOUR;
  await waitFor(async () => (await readdir(`${core.directory}/uploads`)).length === 0);
});

test('an upload that ends because it is a day old, in the middle of a chunk, is unknown from then on', async () => {
  for (const method of ['PATCH', 'PUT'] as const) {
    await using core = await HostedCore.start({}, { sweepEvery: 10 });
    const upload = await core.begin();
    const bytes = Buffer.alloc(512 * KIB, 7);
    const target = method === 'PUT' ? `${upload}?digest=${digestOf(bytes)}` : upload;
    const sending = core.open(method, target, { 'content-length': String(bytes.length) });
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    sending.write(bytes.subarray(0, 300 * KIB));
    const state = async () => core.write('GET', upload);
    await waitFor(async () => (await state()).headers.range === `0-${300 * KIB - 1}`);
    core.core.now += 24 * HOUR + 1;
    await waitFor(async () => (await state()).status === 404);
    sending.end(bytes.subarray(300 * KIB));
    const [response] = await answered;
    const answer = Buffer.concat(await response.toArray()).toString();
    assert.deepEqual([response.statusCode, JSON.parse(answer).errors[0].code], [404, 'BLOB_UPLOAD_UNKNOWN']);
  }
});

test('a blob larger than the limit is refused with 403, announced or not, and its upload is over', async () => {
  await using core = await HostedCore.start({}, { maxBlob: 10 });
  for (const isStreamed of [true, false]) {
    const upload = await core.begin();
    const refused = await core.write('PATCH', upload, { body: 'eleven byte', isStreamed });
    assert.deepEqual([refused.status, errorOf(refused).code], [403, 'DENIED']);
    assert.match(errorOf(refused).message, /at most 10 bytes/);
    assert.equal(refused.headers.range, undefined);
    // A client that goes on shows the answer to its last request.
    for (const [method, body] of [
      ['PATCH', 'x'],
      ['GET', ''],
    ] as const)
      assert.deepEqual(errorOf(await core.write(method, upload, { body })), errorOf(refused));
    assert.equal((await core.write('GET', upload, { subject: 'user:bo' })).status, 404);
    assert.equal((await core.write('GET', upload, { repository: 'acme/other' })).status, 404);
  }
  const upload = await core.begin();
  assert.equal(
    (await core.write('PUT', `${upload}?digest=${digestOf('ten bytes.')}`, { body: 'ten bytes.' })).status,
    201,
  );
});

test('the quota counts what is stored and what is being uploaded, and says how much it is', async () => {
  await using core = await HostedCore.start({ quota: 10 * KIB });
  const upload = await core.begin();
  assert.equal((await core.write('PATCH', upload, { body: Buffer.alloc(6 * KIB) })).status, 202);
  const second = await core.begin();
  const refused = await core.write('PATCH', second, { body: Buffer.alloc(5 * KIB) });
  assert.deepEqual([refused.status, errorOf(refused).code], [403, 'DENIED']);
  assert.match(
    errorOf(refused).message,
    /quota of acme\/\*\* has no room for 5\.0 KiB more: 6\.0 KiB of 10\.0 KiB are used/,
  );
  assert.equal((await core.write('GET', second)).status, 403);
  await core.write('DELETE', upload);
  await core.pushBlob(Buffer.alloc(5 * KIB), { repository: 'acme/other' });
  await core.pushBlob(Buffer.alloc(4 * KIB, 1));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [],
    annotations: { a: 'x'.repeat(2 * KIB) },
  });
  assert.equal((await core.pushManifest('a', manifest)).status, 403);
  await core.pushBlob(Buffer.alloc(KIB, 2));
  const full = await core.write('POST', 'blobs/uploads/', { body: '' });
  assert.deepEqual([full.status, errorOf(full).code], [403, 'DENIED']);
  assert.match(errorOf(full).message, /quota of acme\/\*\* is used up: 10\.0 KiB of 10\.0 KiB/);
  // The same blob again takes no more space.
  await core.write('DELETE', `blobs/${digestOf(Buffer.alloc(KIB, 2))}`);
  await core.pushBlob(Buffer.alloc(KIB, 2));
});

test('a body of unknown length seldom asks for its share of the quota, and keeps no more than it has', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-counted-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const real = stack.use(await SqliteHostedDatabase.open(directory, QUIET));
  const core = stack.use(await HostedCore.start({ quota: 40 * MIB }));
  let asked = 0;
  const count = function* <T>(step: HostedStep<T>): HostedStep<T> {
    let taken = step.next();
    while (!taken.done) {
      if (taken.value.name === 'used') asked++;
      taken = step.next(yield taken.value);
    }
    return taken.value;
  };
  const database: HostedDatabase = {
    failure: undefined,
    read: (query) => real.read((select) => count(query(select))),
    change: (change) => real.change((statements) => count(change(statements))),
    copyTo: (file) => real.copyTo(file),
  };
  await core.restart({ database });
  const upload = await core.begin();
  asked = 0;
  const body = randomBytes(24 * MIB);
  assert.equal((await core.write('PATCH', upload, { body, isStreamed: true })).status, 202);
  // Its 48 pieces or more ask after each doubling only.
  assert.ok(asked <= 14, `it asked ${asked} times`);
  const second = await core.begin();
  const rest = await core.write('PATCH', second, { body: Buffer.alloc(16 * MIB) });
  assert.equal(rest.status, 202, rest.body.toString());
  const third = await core.begin().catch((error: Error) => error);
  assert.ok(third instanceof Error);
  const put = await core.write('PUT', `${upload}?digest=${digestOf(body)}`, { body: '' });
  assert.equal(put.status, 201, put.body.toString());
});

test('a body of unknown length goes on until the quota is full, and no byte further', async () => {
  await using core = await HostedCore.start({ quota: 3 * MIB });
  const upload = await core.begin();
  const body = Buffer.alloc(3 * MIB, 1);
  const put = await core.write('PUT', `${upload}?digest=${digestOf(body)}`, { body, isStreamed: true });
  assert.equal(put.status, 201, put.body.toString());
  await using other = await HostedCore.start({ quota: 3 * MIB });
  const long = await other.write('PATCH', await other.begin(), {
    body: Buffer.alloc(3 * MIB + 1),
    isStreamed: true,
  });
  assert.equal(long.status, 403, long.body.toString());
  await other.pushBlob(body);
});

test('a body that breaks off publishes nothing, and its upload can go on', async () => {
  await using core = await HostedCore.start();
  const upload = await core.begin();
  const bytes = Buffer.alloc(512 * KIB, 7);
  const announced = { 'content-length': String(bytes.length) };
  const sending = core.open('PUT', `${upload}?digest=${digestOf(bytes)}`, announced);
  const failed = once(sending, 'error');
  sending.write(bytes.subarray(0, 300 * KIB));
  const range = async () => (await core.write('GET', upload)).headers.range;
  await waitFor(async () => (await range()) === `0-${300 * KIB - 1}`);
  sending.destroy(new Error('the client goes away'));
  await failed;
  assert.equal((await core.read(`blobs/${digestOf(bytes)}`)).status, 404);
  const rest = { body: bytes.subarray(300 * KIB) };
  assert.equal((await core.write('PUT', `${upload}?digest=${digestOf(bytes)}`, rest)).status, 201);
});

test('a subject whose manifests come slowly delays itself, and nobody else', async () => {
  await using core = await HostedCore.start();
  await core.restart({ manifestPlaces: { concurrent: 2, concurrentEach: 1, waiting: 1, waitingEach: 0 } });
  const slow = core.open('PUT', 'manifests/slow', { 'content-length': '100', 'content-type': OCI_INDEX });
  const failed = once(slow, 'error');
  const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
  await waitFor(async () => (await core.pushManifest('a', index)).status === 429);
  assert.equal((await core.pushManifest('b', index, { subject: 'user:bo' })).status, 201);
  slow.destroy(new Error('the client goes away'));
  await failed;
  await waitFor(async () => (await core.pushManifest('a', index)).status === 201);
});

test('what was pushed is there after a restart, and uploads are not', async () => {
  await using core = await HostedCore.start();
  const manifest = await core.pushImage('1.0', 'layer');
  const upload = await core.begin();
  await core.core.restart();
  assert.equal((await core.read('manifests/1.0')).body.toString(), manifest);
  assert.equal((await core.read(`blobs/${digestOf('layer')}`)).status, 200);
  assert.equal((await core.write('GET', upload)).status, 404);
  assert.deepEqual(await readdir(`${core.directory}/uploads`), []);
});

for (const [what, damage] of [
  ['damaged', (file: string) => writeFile(file, 'this is not a database, and it is longer than a header')],
  ['empty', (file: string) => writeFile(file, '')],
  ['missing', (file: string) => rm(file)],
  ['missing with its version, as after a restore that broke off', withoutVersion],
] as const)
  test(`a database that is ${what} is not begun anew: hosted names answer 503 until it is restored`, async () => {
    await using core = await HostedCore.start();
    await core.pushImage('1.0', 'layer');
    const file = `${core.directory}/hosted.db`;
    await core.core.restart({}, () => damage(file));
    const answers = [
      await core.read('manifests/1.0'),
      await core.read('tags/list'),
      await core.write('POST', 'blobs/uploads/', { body: '' }),
      await core.write('DELETE', 'manifests/1.0'),
    ];
    for (const answer of answers)
      assert.deepEqual([answer.status, errorOf(answer).code], [503, 'UNAVAILABLE']);
    assert.equal((await core.core.send({ path: '/status' })).status, 200);
    assert.notEqual((await core.core.ask('library/alpine/manifests/latest')).status, 503);
  });

async function withoutVersion(file: string): Promise<void> {
  await rm(file);
  await rm(path.join(path.dirname(file), 'VERSION'));
}

test('a hosted name is never asked upstream, and a name outside the namespaces is unknown', async () => {
  await using core = await HostedCore.start();
  assert.equal((await core.read('manifests/latest')).status, 404);
  const outside = { repository: 'other/app' };
  assert.equal((await core.read('manifests/latest', outside)).status, 404);
  assert.equal((await core.write('POST', 'blobs/uploads/', { ...outside, body: '' })).status, 404);
});

test('the bytes that clients upload are counted, also those of a refused upload', async () => {
  await using core = await HostedCore.start();
  await core.pushBlob('hello');
  const upload = await core.begin();
  const wrong = await core.write('PUT', `${upload}?digest=${digestOf('other')}`, { body: 'bye' });
  assert.equal(wrong.status, 400);
  const { body } = await core.core.send({ path: '/metrics' });
  const metrics: { name: string; values: { labels: object; value: number }[] }[] = JSON.parse(
    body.toString(),
  );
  const received = metrics.find(({ name }) => name === 'hubgate_hosted_received_bytes_total');
  assert.deepEqual(
    received?.values.map(({ labels, value }) => [labels, value]),
    [[{ namespace: 'acme' }, 8]],
  );
});
