import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import { parseRanges } from '../../src/registry/range.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import type { FakeHub } from '../support/fake-hub.ts';
import type { TestResponse } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { PATIENT_LIMITS } from '../support/test-core.ts';
import { basic, PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const SIZE = 4_000_000;
const USER = { user: 'ana' };

let hub: FakeHub;
let hubgate: TestHubgate;
let bytes: Buffer;
let layer: string;
let release: () => void;

beforeEach(async (t) => {
  bytes = randomBytes(SIZE);
  const image = imageOf({ layers: [bytes] });
  layer = `/v2/library/alpine/blobs/${image.layers[0]}`;
  ({ hub, hubgate } = await withMirror(t, {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    // A download that stops until the test lets it go on is not resumed, however slow the machine is.
    core: { limits: { ...PATIENT_LIMITS, bodyIdle: 150_000 } },
    images: { 'library/alpine': image },
  }));
  // The download of the whole layer stops early, until the test lets it go on.
  const { promise: gate, resolve } = Promise.withResolvers<void>();
  release = resolve;
  hub.plant('cdn', /GET/, { kind: 'pause', at: 100_000, gate }, 1);
});

afterEach(() => release());

function read(range: string, headers: Record<string, string> = {}): Promise<TestResponse> {
  return hubgate.ask(layer, { ...USER, headers: { range, ...headers } });
}

/** Begins a read; `begun` is settled when the headers of the answer have arrived. */
function begin(range: string): { readonly read: Promise<TestResponse>; readonly begun: Promise<void> } {
  const { promise: begun, resolve, reject } = Promise.withResolvers<void>();
  const headers = { range, authorization: basic('ana', PASSWORD) };
  const read = hubgate.send({ path: layer, headers, onHeaders: resolve });
  read.catch(reject);
  return { read, begun };
}

async function warm(): Promise<void> {
  release();
  assertBytes((await hubgate.ask(layer, USER)).body, bytes);
  // The client has the last byte a moment before the blob is published.
  await waitFor(async () => (await read('bytes=0-1,5-6')).status === 206);
  hub.log.length = 0;
}

function assertPart({ status, headers, body }: TestResponse, start: number, end: number): void {
  assert.equal(status, 206);
  assert.equal(headers['content-range'], `bytes ${start}-${end - 1}/${SIZE}`);
  assert.equal(headers['content-length'], String(end - start));
  assertBytes(body, bytes.subarray(start, end));
}

test('the tail of a cold blob does not wait for the whole, and the whole is downloaded once', async () => {
  assertPart(await read('bytes=-51'), SIZE - 51, SIZE);
  assertPart(await read(`bytes=${SIZE - 200_000}-${SIZE - 100_001}`), SIZE - 200_000, SIZE - 100_000);
  assertPart(await read('bytes=0-9'), 0, 10);
  const downloads = hub.log.filter(({ server, method }) => server === 'cdn' && method === 'GET');
  assert.deepEqual(
    downloads.map(({ headers }) => headers.range),
    [undefined, `bytes=${SIZE - 51}-${SIZE - 1}`, `bytes=${SIZE - 200_000}-${SIZE - 100_001}`],
  );
  await warm();
  assertPart(await read('bytes=-51'), SIZE - 51, SIZE);
  assert.deepEqual(hub.log, []);
});

test('invariant 8: a wrong part is not in the cache, and the rest of a blob waits for its verification', async () => {
  // Whatever is asked beside the download is wrong.
  hub.plant('cdn', /GET/, { kind: 'corrupt', at: -1 });
  const wrong = await read('bytes=-51');
  assert.notDeepEqual(wrong.body, bytes.subarray(-51));
  const large = [begin('bytes=1500000-'), begin('bytes=-2500000'), begin('bytes=3900000-')];
  // Those that have their headers have reached the download.
  await Promise.all(large.map(({ begun }) => begun));
  release();
  for (const [at, start] of [1_500_000, SIZE - 2_500_000, 3_900_000].entries())
    assertPart(await (large[at]?.read ?? assert.fail()), start, SIZE);
  assertPart(await read('bytes=-51'), SIZE - 51, SIZE);
});

test('a part that the upstream does not give comes with the fill', async () => {
  const other = { status: 206, headers: { 'content-range': `bytes 0-50/${SIZE}` }, body: 'x'.repeat(51) };
  for (const behaviour of [
    { kind: 'whole' },
    { kind: 'status', status: 500 },
    { kind: 'status', ...other },
  ] as const) {
    const plain = imageOf({ layers: [randomBytes(SIZE)] });
    hub.push('library/plain', 'latest', plain);
    const [digest = ''] = plain.layers;
    const content = plain.blobs.get(plain.layers[0] ?? assert.fail()) ?? assert.fail();
    const { promise: gate, resolve } = Promise.withResolvers<void>();
    hub.heal();
    hub.plant('cdn', /GET/, { kind: 'pause', at: 100_000, gate }, 1);
    hub.plant('cdn', /GET/, behaviour, 1);
    const part = hubgate.ask(`/v2/library/plain/blobs/${digest}`, {
      ...USER,
      headers: { range: 'bytes=-51' },
    });
    await waitFor(() =>
      hub.log.some(({ path, headers }) => path.includes(digest) && headers.range !== undefined),
    );
    resolve();
    assertBytes((await part).body, content.subarray(-51));
  }
});

test('a part is given to those alone who may have the blob', async () => {
  const secret = imageOf({ layers: [randomBytes(SIZE)] });
  hub.push('acme/secret', 'latest', secret, { private: true });
  const target = `/v2/acme/secret/blobs/${secret.layers[0]}`;
  assert.equal((await hubgate.ask(target, { ...USER, headers: { range: 'bytes=-51' } })).status, 404);
  const elsewhere = `/v2/library/alpine/blobs/${secret.layers[0]}`;
  assert.equal((await hubgate.ask(elsewhere, { ...USER, headers: { range: 'bytes=-51' } })).status, 404);
});

test('several ranges are a multipart answer', async () => {
  await warm();
  const { status, headers, body } = await read('bytes=0-9, 1000000-1299999,-51');
  assert.equal(status, 206);
  assert.equal(headers['content-length'], String(body.length));
  const [, boundary] = /^multipart\/byteranges; boundary=(\S+)$/.exec(headers['content-type'] ?? '') ?? [];
  const parts: Buffer[] = [];
  for (const [start, end] of [
    [0, 10],
    [1_000_000, 1_300_000],
    [SIZE - 51, SIZE],
  ] as const) {
    const first = parts.length === 0 ? '' : '\r\n';
    const range = `Content-Range: bytes ${start}-${end - 1}/${SIZE}`;
    parts.push(
      Buffer.from(`${first}--${boundary}\r\nContent-Type: application/octet-stream\r\n${range}\r\n\r\n`),
      bytes.subarray(start, end),
    );
  }
  parts.push(Buffer.from(`\r\n--${boundary}--\r\n`));
  assertBytes(body, Buffer.concat(parts));
});

test('several ranges of which none can be satisfied are 416, and one of several is a multipart answer too', async () => {
  await warm();
  assert.equal((await read(`bytes=${SIZE}-,${SIZE + 5}-`)).status, 416);
  const one = await read(`bytes=0-9,${SIZE}-`);
  assert.equal(one.status, 206);
  assert.match(one.headers['content-type'] ?? '', /^multipart\/byteranges; /);
});

test('ranges that would cost more than the whole are ignored', async () => {
  await warm();
  const many = Array.from({ length: 101 }, (_, at) => `${at * 10}-${at * 10 + 1}`).join(',');
  for (const range of ['bytes=0-9,5-14', 'bytes=0-,0-', `bytes=${many}`, 'bytes=0-1,x', 'bytes=0-1,']) {
    const whole = await read(range);
    assert.equal(whole.status, 200, range);
    assertBytes(whole.body, bytes);
  }
  const condition = { 'if-range': '"other"' };
  assert.equal((await read('bytes=0-1,5-6', condition)).status, 200);
});

test('several ranges are read as RFC 9110 has them', () => {
  assert.equal(parseRanges('bytes=0-1', 10), undefined);
  assert.equal(parseRanges(undefined, 10), undefined);
  assert.equal(parseRanges('items=0-1,3-4', 10), undefined);
  assert.deepEqual(parseRanges('bytes=-1, 0-1', 10), [
    { start: 9, end: 10 },
    { start: 0, end: 2 },
  ]);
  assert.equal(parseRanges(`bytes=${'0-1,'.repeat(10_000)}`, 10), undefined);
});
