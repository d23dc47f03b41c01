import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { ChunkCache } from '../../src/gateway/delivery/chunk-cache.ts';
import { deliverBlob } from '../../src/gateway/delivery/deliver-blob.ts';
import { DeliveryPool } from '../../src/gateway/delivery/delivery-pool.ts';
import { SharedFills } from '../../src/gateway/delivery/shared-fill.ts';
import { readLines } from '../../src/platform/ipc/json-lines.ts';
import { sha256Of } from '../../src/registry/digest.ts';
import { serveLocally } from '../support/local-server.ts';

const BLOB = randomBytes(300_000);
const DIGEST = sha256Of(BLOB);
/** Of which what is not held back is sent. */
const WRITTEN = 200_000;

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-fill-'));
});

after(() => rm(directory, { recursive: true }));

/**
 * What a client gets of a fill that was interrupted when it had written `partial`, and that the core then
 * goes on with past a cache that cannot be written, as a stream of the whole.
 */
async function pullOver(partial: Buffer, stream: Buffer, range?: string) {
  const file = path.join(directory, 'partial');
  await writeFile(file, partial);
  const progress = [{ kind: 'filling', written: WRITTEN }, { kind: 'interrupted' }];
  const delivered = Promise.withResolvers<void>();
  const deliver = async (request: IncomingMessage, response: ServerResponse) => {
    const announcements = readLines(Readable.from(progress.map((line) => `${JSON.stringify(line)}\n`)));
    await using source = await new SharedFills(new ChunkCache()).open({
      id: 'fill',
      file,
      size: BLOB.length,
      announcements,
      joined: false,
    });
    const rest = { kind: 'blob-stream', cache: 'bypass', size: BLOB.length } as const;
    const askAgain = async () => ({ ...rest, body: Readable.from(inChunks(stream)) });
    await deliverBlob({ request, response, digest: DIGEST, pool: new DeliveryPool(), askAgain }, source);
  };
  const server = await serveLocally((request, response) => {
    const delivery = deliver(request, response);
    delivered.resolve(delivery);
    // A delivery that throws ends the wait of its client, and so of the test.
    delivery.catch(() => response.destroy());
  });
  await using _stopped = { [Symbol.asyncDispose]: () => server.stop() };
  const sent = request(server.url, {
    agent: false,
    ...(range !== undefined && { headers: { range } }),
  }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  response.on('data', (chunk) => chunks.push(chunk)).on('error', () => {});
  await new Promise((resolve) => response.on('close', resolve));
  await delivered.promise;
  return { body: Buffer.concat(chunks), complete: response.complete };
}

function* inChunks(bytes: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < bytes.length; at += 70_000) yield bytes.subarray(at, at + 70_000);
}

function withWrongByte(bytes: Buffer, at: number): Buffer {
  const wrong = Buffer.from(bytes);
  wrong[at] = ~(wrong[at] ?? 0);
  return wrong;
}

test('a fill that is interrupted goes on as a stream: the bytes are those of one blob', async () => {
  const whole = await pullOver(BLOB.subarray(0, WRITTEN), BLOB);
  assert.ok(whole.complete && whole.body.equals(BLOB));
  const part = await pullOver(BLOB.subarray(0, WRITTEN), BLOB, 'bytes=1000-249999');
  assert.ok(part.complete && part.body.equals(BLOB.subarray(1000, 250_000)));
});

test('invariant 8: what was sent of it is compared with the stream, and the end of the stream is held back', async () => {
  const partial = BLOB.subarray(0, WRITTEN);
  for (const { left, stream } of [
    { left: withWrongByte(partial, 0), stream: BLOB },
    { left: withWrongByte(partial, 130_000), stream: BLOB },
    { left: partial, stream: withWrongByte(BLOB, 250_000) },
    { left: partial, stream: withWrongByte(BLOB, BLOB.length - 1) },
    { left: partial, stream: BLOB.subarray(0, 290_000) },
  ]) {
    const { body, complete } = await pullOver(left, stream);
    assert.equal(complete, false);
    assert.ok(body.length < BLOB.length);
  }
});
