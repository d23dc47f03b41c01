import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import path from 'node:path';
import { beforeEach, test } from 'node:test';
import { connect } from 'node:tls';
import { parseRange } from '../../src/registry/range.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import type { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { basic, PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const SIZE = 1_000_000;

let hub: FakeHub;
let hubgate: TestHubgate;
let image: TestImage;
let layer: string;
let bytes: Buffer;

beforeEach(async (t) => {
  bytes = randomBytes(SIZE);
  image = imageOf({ layers: [bytes] });
  layer = `/v2/library/alpine/blobs/${image.layers[0]}`;
  ({ hub, hubgate } = await withMirror(t, {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    images: { 'library/alpine': image },
  }));
});

const USER = { user: 'ana' };

/** A response as it begins, to be read by the test. */
async function begin(target: string): Promise<IncomingMessage> {
  const headers = { authorization: basic('ana', PASSWORD) };
  const sent = request({
    host: 'localhost',
    port: hubgate.port,
    ca: hubgate.ca,
    path: target,
    headers,
    agent: false,
  });
  sent.on('error', () => {});
  const [response] = await once(sent.end(), 'response');
  return response;
}

/** What of a body arrives, and whether it arrives whole. */
async function drain(response: IncomingMessage): Promise<{ body: Buffer; complete: boolean }> {
  const chunks: Buffer[] = [];
  response.on('data', (chunk) => chunks.push(chunk));
  response.on('error', () => {});
  await new Promise((resolve) => response.on('close', resolve));
  return { body: Buffer.concat(chunks), complete: response.complete };
}

test('a blob is the same cold and warm, with its headers', async () => {
  for (const _ of ['cold', 'warm']) {
    const pulled = await hubgate.ask(layer, USER);
    assert.equal(pulled.status, 200);
    assertBytes(pulled.body, bytes);
    assert.equal(pulled.headers['content-length'], String(SIZE));
    assert.equal(pulled.headers['content-type'], 'application/octet-stream');
    assert.equal(pulled.headers['docker-content-digest'], image.layers[0]);
    assert.equal(pulled.headers['accept-ranges'], 'bytes');
  }
});

test('a single range is a part, on a hit and on a fill', async () => {
  for (const _ of ['fill', 'hit']) {
    for (const [range, start, end] of [
      ['bytes=0-99', 0, 100],
      ['bytes=999900-', 999_900, SIZE],
      ['bytes=-50', SIZE - 50, SIZE],
      ['bytes=500000-2000000', 500_000, SIZE],
    ] as const) {
      const part = await hubgate.ask(layer, { ...USER, headers: { range } });
      assert.equal(part.status, 206, range);
      assert.equal(part.headers['content-range'], `bytes ${start}-${end - 1}/${SIZE}`);
      assertBytes(part.body, bytes.subarray(start, end));
    }
  }
  const conditional = await hubgate.ask(layer, {
    ...USER,
    headers: { range: 'bytes=0-1', 'if-range': '"other"' },
  });
  assert.equal(conditional.status, 200);
  const outside = await hubgate.ask(layer, { ...USER, headers: { range: `bytes=${SIZE}-` } });
  assert.equal(outside.status, 416);
  assert.equal(outside.headers['content-range'], `bytes */${SIZE}`);
});

test('ranges are read as RFC 9110 has them', () => {
  assert.deepEqual(parseRange('bytes=0-0', 10), { start: 0, end: 1 });
  assert.deepEqual(parseRange('bytes=3-', 10), { start: 3, end: 10 });
  assert.deepEqual(parseRange('bytes=-20', 10), { start: 0, end: 10 });
  assert.deepEqual(parseRange('bytes=5-99', 10), { start: 5, end: 10 });
  assert.equal(parseRange('bytes=10-', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=-0', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=5-4', 10), 'unsatisfiable');
  for (const ignored of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'items=0-1',
    'bytes=0-1,3-4',
    'bytes 0-1',
  ]) {
    assert.equal(parseRange(ignored, 10), undefined, String(ignored));
  }
});

test('the headers of a fill are out before its first byte can be', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 10, gate: gate.promise });
  const response = await begin(layer);
  assert.equal(response.headers['content-length'], String(SIZE));
  gate.resolve();
  assertBytes((await drain(response)).body, bytes);
});

test('a fill is streamed while it grows, and its last 64 KiB wait until it is verified', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE - 1, gate: gate.promise });
  const response = await begin(layer);
  assert.equal(response.headers['content-length'], String(SIZE));
  const chunks: Buffer[] = [];
  let received = 0;
  const all = once(response, 'end');
  const most = new Promise<void>((resolve) => {
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received === SIZE - 65_536) resolve();
    });
  });
  await most;
  gate.resolve();
  await all;
  assertBytes(Buffer.concat(chunks), bytes);
});

test('invariants 8 and 9: of a wrong or broken fill no client gets a complete answer, nor a byte that is not the blob’s', async () => {
  for (const behaviour of [
    { kind: 'corrupt', at: SIZE / 2 },
    { kind: 'corrupt', at: SIZE - 1 },
    { kind: 'drop', at: SIZE - 10 },
    { kind: 'drop', at: 10 },
  ] as const) {
    hub.plant('cdn', /^GET/, behaviour, 1);
    const response = await begin(layer);
    const { body, complete } = await drain(response);
    if (complete) {
      // What broke off before it was begun is fetched again, or refused.
      assert.ok(response.statusCode === 502 || body.equals(bytes), JSON.stringify(behaviour));
      continue;
    }
    assert.ok(body.length <= SIZE - 65_536, `${body.length} bytes of a fill that failed`);
    if (behaviour.kind === 'drop') assertBytes(body, bytes.subarray(0, body.length));
  }
  assertBytes((await hubgate.ask(layer, USER)).body, bytes);
});

test('invariant 11: clients that come late or leave early share one fill', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: gate.promise });
  const leaving = await begin(layer);
  await once(leaving, 'data');
  const late = await Promise.all(Array.from({ length: 5 }, () => begin(layer)));
  leaving.destroy();
  gate.resolve();
  for (const response of late) {
    const { body, complete } = await drain(response);
    assert.ok(complete);
    assert.equal(createHash('sha256').update(body).digest('hex'), image.layers[0]?.slice(7));
  }
  assert.equal(hub.log.filter(({ server, method }) => server === 'cdn' && method === 'GET').length, 1);
});

test('a download goes on where it was when its core is started again', async () => {
  hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: new Promise(() => {}) }, 1);
  const response = await begin(layer);
  const read = drain(response);
  await once(response, 'data');
  await hubgate.restartCore();
  const { body, complete } = await read;
  assert.ok(complete);
  assertBytes(body, bytes);
});

test('invariant 8: a wrong beginning, of a fill that was interrupted, is not completed by the right end of another', async () => {
  const right = Buffer.from(bytes);
  const stored = image.blobs.get(image.layers[0] ?? assert.fail()) ?? assert.fail();
  stored[1000] = (stored[1000] ?? 0) ^ 1;
  hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: new Promise(() => {}) }, 1);
  const response = await begin(layer);
  const read = drain(response);
  await once(response, 'data');
  stored.set(right);
  await hubgate.stopCore();
  await rm(path.join(hubgate.home, 'data/partial'), { recursive: true });
  await hubgate.restartCore();
  const { body, complete } = await read;
  assert.ok(!complete);
  assert.ok(body.length < SIZE);
});

test('past a cache that cannot be written a blob is sent all the same, and verified', async () => {
  const partial = path.join(hubgate.home, 'data/partial');
  await rm(partial, { recursive: true });
  await writeFile(partial, 'in the way');
  const pulled = await drain(await begin(layer));
  assert.ok(pulled.complete);
  assertBytes(pulled.body, bytes);
  hub.plant('cdn', /^GET/, { kind: 'corrupt', at: 10 }, 1);
  const wrong = await drain(await begin(layer));
  assert.ok(!wrong.complete);
});

test('invariant 7: each waiter on a shared fill is permitted for itself', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: gate.promise });
  const first = begin(layer).then(drain);
  const refused = await Promise.all([
    hubgate.ask(layer),
    hubgate.ask(layer, { token: await hubgate.token('ana', 'library/busybox') }),
    hubgate.ask(layer, { user: 'nobody' }),
    hubgate.ask(layer.replace('library/alpine', 'acme/none'), USER),
  ]);
  gate.resolve();
  assert.deepEqual(
    refused.map(({ status }) => status),
    [401, 401, 401, 404],
  );
  assert.ok((await first).complete);
});

test('without a length from the upstream a blob is sent all the same, and verified', async () => {
  hub.plant('cdn', /^GET/, { kind: 'unsized' });
  const cold = await drain(await begin(layer));
  assert.ok(cold.complete);
  assertBytes(cold.body, bytes);
  assert.equal((await hubgate.ask(layer, USER)).headers['content-length'], String(SIZE));
});

const NEEDS_PROC = { skip: process.platform !== 'linux' && 'there is no /proc to count open files in' };

test('clients that leave in the middle leave nothing open behind them', NEEDS_PROC, async () => {
  await hubgate.ask(layer, USER);
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let round = 0; round < 20; round++) {
    const responses = await Promise.all(Array.from({ length: 10 }, () => begin(layer)));
    for (const response of responses) response.destroy();
  }
  await waitFor(() => open() <= before);
});

test('ending waits for a download that is under way, and not for connections on which nothing is asked', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: gate.promise });
  const idle = connect({ host: '127.0.0.1', port: hubgate.port, ca: hubgate.ca, servername: 'localhost' });
  idle.on('error', () => {});
  await once(idle, 'secureConnect');
  const response = await begin(layer);
  const read = drain(response);
  const ended = hubgate.stopGateway();
  gate.resolve();
  assertBytes((await read).body, bytes);
  await ended;
});
