import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type BodyTimes, limitBodies } from '../../src/gateway/http/body-deadlines.ts';

/** No deadline of a test is reached in this time. */
const LONG = 600_000;
/** A connection that is open for so long was not given up. */
const PATIENCE = 30_000;
const TIMES: BodyTimes = { bodyIdle: LONG, smallBody: LONG, check: 20 };

/** Serves `handler`, with small bodies at `/small` and any bodies elsewhere. */
async function serve(times: Partial<BodyTimes>, handler: RequestListener) {
  // Only the deadlines under test close a connection.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: LONG }, handler);
  const limits = limitBodies(server, { ...TIMES, ...times }, ({ url }) => url === '/small');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    send: async (target: string, length: number) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(`POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${length}\r\n\r\n`);
      return { socket, answer: textOf(socket) };
    },
    [Symbol.asyncDispose]: async () => {
      limits[Symbol.dispose]();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Resolves to all that the server sends until the connection closes. */
async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = Promise.withResolvers<void>();
  socket.once('close', () => closed.resolve());
  await closed.promise;
  return Buffer.concat(chunks).toString('latin1');
}

/** Sends single bytes until the connection closes, or for the given number of milliseconds. */
async function trickle(socket: Socket, milliseconds: number): Promise<number> {
  let sent = 0;
  for (
    const begun = performance.now();
    !socket.destroyed && performance.now() - begun < milliseconds;
    sent++
  ) {
    socket.write('x');
    await delay(20);
  }
  return sent;
}

const readAll: RequestListener = (request, response) => {
  request.resume();
  request.on('error', () => {});
  request.once('end', () => response.end('read'));
};

test('invariant 16: a body that stops is given up', async () => {
  await using server = await serve({ bodyIdle: 300 }, readAll);
  const { socket, answer } = await server.send('/large', 1_000);
  socket.write('x');
  assert.match(await answer, /^HTTP\/1\.1 408 /);
});

test('invariant 16: a large body that comes slower than any client sends is given up', async () => {
  await using server = await serve({ bodyFloor: { bytes: 100_000, within: 300 } }, readAll);
  const { socket, answer } = await server.send('/large', 1_000_000);
  await trickle(socket, PATIENCE);
  socket.destroy();
  assert.match(await answer, /^HTTP\/1\.1 408 /);
});

test('invariant 16: a small body that is slow is given up, although it does not stop', async () => {
  await using server = await serve({ smallBody: 300 }, readAll);
  const { socket, answer } = await server.send('/small', 1_000_000);
  await trickle(socket, PATIENCE);
  socket.destroy();
  assert.match(await answer, /^HTTP\/1\.1 408 /);
});

test('a large body may be slow', async () => {
  await using server = await serve({ smallBody: 200 }, readAll);
  const length = 1_000;
  const { socket, answer } = await server.send('/large', length);
  const sent = await trickle(socket, 1_000);
  socket.end('x'.repeat(length - sent));
  assert.match(await answer, /^HTTP\/1\.1 200 .*read$/s);
});

test('invariant 16: the body of a request that is already answered is given up', async () => {
  await using server = await serve({ smallBody: 300 }, (_, response) => {
    response.writeHead(405).end('refused');
  });
  const { socket, answer } = await server.send('/large', 1_000_000);
  await trickle(socket, PATIENCE);
  assert.ok(socket.destroyed, 'the connection is still open');
  const text = await answer;
  assert.match(text, /^HTTP\/1\.1 405 /);
  assert.doesNotMatch(text, /408/);
});

test('nothing is written into the response to an earlier request', async () => {
  await using server = await serve({ bodyIdle: 300 }, (request, response) => {
    if (request.url === '/first') response.write('part');
    else readAll(request, response);
  });
  const { socket, answer } = await server.send('/first', 0);
  socket.write('POST /second HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx');
  const text = await answer;
  assert.match(text, /^HTTP\/1\.1 200 .*part\r\n$/s);
  assert.doesNotMatch(text, /408/);
});
