import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type ChunkTaker,
  type ReceivedChunks,
  receiveChunks,
} from '../../src/platform/ipc/receive-chunks.ts';

const KIB = 1024;

/** Bytes of which no two pieces are the same. */
function bytesOf(length: number): Buffer {
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, index) => index);
  return Buffer.from(words.buffer).subarray(0, length);
}

/** Begins a request, and gives it to whoever serves it. */
async function begin(stack: AsyncDisposableStack, headers: Record<string, number> = {}) {
  const server = createServer();
  const arrived = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const sent = request({ host: '127.0.0.1', port: address.port, method: 'PATCH', headers });
  sent.on('error', () => {});
  sent.flushHeaders();
  const [message] = await arrived;
  return { sent, message };
}

/** Resolves when this many bytes wait in a message, or all that it takes. */
async function waitIn(message: IncomingMessage, bytes: number): Promise<void> {
  while (message.readableLength < Math.min(bytes, message.readableHighWaterMark)) await turn();
}

/** Takes all chunks of a body, and pauses at every third one for some turns of the event loop. */
async function takeAll(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let isPaused = false;
  let received: ReceivedChunks | undefined;
  const later = async () => {
    for (let turns = 0; turns < 5; turns++) await turn();
    isPaused = false;
    received?.resume();
  };
  const take: ChunkTaker = (chunk) => {
    assert.ok(!isPaused, 'no chunk comes before it is asked for');
    chunks.push(Buffer.from(chunk));
    isPaused = chunks.length % 3 === 1;
    if (isPaused) void later();
    return !isPaused;
  };
  const ended = once(body, 'end');
  received = receiveChunks(body, take);
  await ended;
  return Buffer.concat(chunks);
}

for (const length of [0, 1, 60 * KIB, 3000 * KIB + 7])
  for (const early of [0, 30 * KIB, 500 * KIB, Number.POSITIVE_INFINITY]) {
    const said = `${length} bytes, of which ${early} come before anybody takes them,`;
    test(`${said} are taken in order and at the pace of their taker`, async () => {
      const bytes = bytesOf(length);
      for (const headers of [{}, { 'content-length': length }]) {
        await using stack = new AsyncDisposableStack();
        const { sent, message } = await begin(stack, headers);
        const first = bytes.subarray(0, early);
        sent.write(first);
        if (early > length) sent.end();
        await waitIn(message, first.length);
        const taken = takeAll(message);
        if (early <= length) sent.end(bytes.subarray(first.length));
        assert.ok((await taken).equals(bytes), JSON.stringify(headers));
      }
    });
  }

test('a body that is no message is taken in the same way', async () => {
  const bytes = bytesOf(3000 * KIB);
  const chunks = Array.from({ length: 300 }, (_, index) =>
    bytes.subarray(index * 10 * KIB, (index + 1) * 10 * KIB),
  );
  assert.ok((await takeAll(Readable.from(chunks))).equals(bytes));
});

for (const isPausing of [true, false])
  test(`the rest of a body is left to the next reader${isPausing ? ', with what has waited' : ''}`, async () => {
    await using stack = new AsyncDisposableStack();
    const bytes = bytesOf(3000 * KIB);
    const { sent, message } = await begin(stack);
    // Each of these is a chunk of its own, and many come with one read of the connection.
    for (let at = 0; at < 40_000; at += 1000) {
      sent.write(bytes.subarray(at, at + 1000));
      await new Promise<void>((resolve) => process.nextTick(resolve));
    }
    sent.end(bytes.subarray(40_000));
    const taken: Buffer[] = [];
    const enough = Promise.withResolvers<void>();
    const received = receiveChunks(message, (chunk) => {
      taken.push(Buffer.from(chunk));
      if (taken.length === 4) enough.resolve();
      return taken.length < 4 || !isPausing;
    });
    await enough.promise;
    await turn();
    received[Symbol.dispose]();
    assert.equal(message.isPaused(), true);
    const count = taken.length;
    await waitIn(message, 1);
    for (let turns = 0; turns < 100; turns++) await turn();
    const rest = await buffer(message);
    assert.equal(taken.length, count);
    assert.ok(Buffer.concat([...taken, rest]).equals(bytes));
  });

test('a client is held back while nobody takes what it sends', async () => {
  await using stack = new AsyncDisposableStack();
  const bytes = bytesOf(32 * 1024 * KIB);
  const { sent, message } = await begin(stack);
  sent.end(bytes);
  let length = 0;
  const received = receiveChunks(message, (chunk) => {
    const isFirst = length === 0;
    length += chunk.length;
    return !isFirst;
  });
  const { socket } = message;
  for (let before = -1; before !== socket.bytesRead; ) {
    before = socket.bytesRead;
    for (let turns = 0; turns < 1000; turns++) await turn();
  }
  assert.ok(socket.bytesRead < 4 * 1024 * KIB, `${socket.bytesRead} bytes were read`);
  const ended = once(message, 'end');
  received.resume();
  await ended;
  assert.equal(length, bytes.length);
});

test('a body that breaks off does not end', async () => {
  await using stack = new AsyncDisposableStack();
  const { sent, message } = await begin(stack);
  let length = 0;
  const some = Promise.withResolvers<void>();
  receiveChunks(message, (chunk) => {
    length += chunk.length;
    some.resolve();
    return true;
  });
  message.once('end', () => assert.fail('the message ended'));
  sent.write(bytesOf(KIB));
  await some.promise;
  sent.destroy();
  const [error] = await once(message, 'error');
  assert.equal(error.code, 'ECONNRESET');
  assert.equal(length, KIB);
});
