import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { sendStreamed } from '../../src/platform/ipc/streamed-request.ts';

const KIB = 1024;

/** Serves on a unix socket, and never closes a connection by itself. */
async function serve(stack: AsyncDisposableStack, listener: RequestListener) {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-streamed-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const server = createServer({ keepAliveTimeout: 0 }, listener);
  const closed: Promise<void>[] = [];
  server.on('connection', (socket: Socket) => {
    const close = Promise.withResolvers<void>();
    socket.once('close', close.resolve);
    closed.push(close.promise);
  });
  const socket = path.join(directory, 'served');
  server.listen({ path: socket });
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { socket, closed };
}

function send(socket: string, body?: Readable, headers: Record<string, string> = {}) {
  const { signal } = new AbortController();
  return sendStreamed(socket, { method: 'PATCH', path: '/', headers, body, signal });
}

/** Bytes of which no two pieces are the same. */
function bytesOf(length: number): Buffer {
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, index) => index);
  return Buffer.from(words.buffer).subarray(0, length);
}

test('a body reaches the other side byte by byte, however it is cut', async () => {
  await using stack = new AsyncDisposableStack();
  let received = Buffer.alloc(0);
  const { socket } = await serve(stack, async (request, response) => {
    received = await buffer(request);
    response.end();
  });
  const whole = bytesOf(1000 * KIB + 7);
  for (const headers of [{}, { 'content-length': String(whole.length) }])
    for (const size of [1000, 16 * KIB, 128 * KIB, 300 * KIB]) {
      const chunks = Array.from({ length: Math.ceil(whole.length / size) }, (_, index) =>
        // A copy of its own, as TLS yields it.
        Buffer.from(new Uint8Array(whole.subarray(index * size, (index + 1) * size)).buffer),
      );
      const { statusCode } = await send(socket, Readable.from(chunks), headers);
      assert.equal(statusCode, 200);
      assert.ok(received.equals(whole), `in chunks of ${size}`);
    }
});

test('a chunk that is a part of a larger buffer stays as it is', async () => {
  await using stack = new AsyncDisposableStack();
  const { socket } = await serve(stack, async (request, response) => {
    await buffer(request);
    response.end();
  });
  const owner = Buffer.from(bytesOf(64 * KIB));
  await send(socket, Readable.from([owner.subarray(10, 20), owner.subarray(30, 40)]));
  assert.ok(owner.equals(bytesOf(64 * KIB)));
});

test('the bytes of a slow client are sent before more come', async () => {
  await using stack = new AsyncDisposableStack();
  const arrived = Promise.withResolvers<IncomingMessage>();
  const { socket } = await serve(stack, (request, response) => {
    arrived.resolve(request);
    request.once('end', () => response.end());
  });
  const body = new Readable({ read() {} });
  const answer = send(socket, body);
  for (const word of ['slow', 'and', 'steady']) {
    body.push(word);
    const request = await arrived.promise;
    assert.deepEqual(String((await once(request, 'data'))[0]), word);
  }
  body.push(null);
  assert.equal((await answer).statusCode, 200);
});

// Chunks of TLS fill the pieces that are sent; the first one of a body, and those of small writes, do not.
for (const size of [16 * KIB, 10_000])
  test(`a body of chunks of ${size} bytes is read no faster than the other side takes it`, async () => {
    await using stack = new AsyncDisposableStack();
    const arrived = Promise.withResolvers<IncomingMessage>();
    const { socket } = await serve(stack, (request, response) => {
      arrived.resolve(request);
      request.once('end', () => response.end());
    });
    let sent = 0;
    const most = 16 * 1024 * KIB;
    const body = new Readable({
      read() {
        sent += size;
        this.push(sent > most ? null : bytesOf(size));
      },
    });
    const answer = send(socket, body);
    const request = await arrived.promise;
    // Nobody reads the request, so the body comes to a stop.
    await stops(() => sent);
    assert.ok(sent < 4 * 1024 * KIB, `${sent} bytes were read`);
    // It comes to a stop again after the other side has read for a while.
    let taken = 0;
    const takeSome = (bytes: Buffer) => {
      taken += bytes.length;
      if (taken > 1024 * KIB) request.off('data', takeSome).pause();
    };
    request.on('data', takeSome);
    await stops(() => sent);
    assert.ok(sent < 5 * 1024 * KIB, `${sent} bytes were read`);
    request.resume();
    assert.equal((await answer).statusCode, 200);
    assert.ok(sent > most);
  });

/** Resolves when a count has not changed for many turns of the event loop. */
async function stops(count: () => number): Promise<void> {
  for (let before = -1; before !== count(); ) {
    before = count();
    for (let turns = 0; turns < 1000; turns++) await turn();
  }
}

test('after an early answer, the rest of the body is left to the caller', async () => {
  await using stack = new AsyncDisposableStack();
  const arrived = Promise.withResolvers<ServerResponse>();
  const { socket } = await serve(stack, (_, response) => arrived.resolve(response));
  let sent = 0;
  const body = new Readable({
    read() {
      sent++;
      setImmediate(() => this.push(bytesOf(16 * KIB)));
    },
  });
  const answer = send(socket, body);
  const early = await arrived.promise;
  // Bytes are on their way when the answer comes.
  await stops(() => sent);
  early.writeHead(403).end();
  const response = await answer;
  assert.equal(response.statusCode, 403);
  await buffer(response);
  const before = sent;
  for (let turns = 0; turns < 1000; turns++) await turn();
  assert.equal(sent, before);
  assert.equal(body.destroyed, false);
  assert.equal(body.isPaused(), true);
});

test('a connection ends with its answer, so that none is left over after many writes', async () => {
  await using stack = new AsyncDisposableStack();
  const { socket, closed } = await serve(stack, (request, response) => {
    request.resume().once('end', () => response.end('answer'));
  });
  for (let count = 0; count < 20; count++) {
    const response = await send(socket, count % 2 === 0 ? undefined : Readable.from([Buffer.from('body')]));
    assert.equal(String(await buffer(response)), 'answer');
  }
  assert.equal(closed.length, 20);
  await Promise.all(closed);
});
