import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { oneAtATime, type PipelineLimits } from '../../src/gateway/http/pipeline.ts';
import { waitFor } from '../support/wait-for.ts';

const LIMITS: PipelineLimits = { pauseAt: 16, each: 3_000, total: 6_000 };

/** Starts a server with the handler and a connection to it, and collects the bytes that the server sends. */
async function connected(handler: RequestListener, limits = LIMITS) {
  const stack = new AsyncDisposableStack();
  const server = createServer(oneAtATime(handler, limits));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const begin = async () => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const socket = await begin();
  const received = { text: '' };
  socket.on('data', (chunk) => {
    received.text += chunk;
  });
  return { server, socket, begin, received, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const request = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
const requests = (count: number) =>
  Array.from({ length: count }, (_, index) => request(`/${index}`)).join('');
const sendAll = (socket: Socket, text: string) => new Promise((resolve) => socket.write(text, resolve));

test('pipelined requests are handled one at a time, and answered in order', async () => {
  let running = 0;
  let most = 0;
  await using pair = await connected(async ({ url }, response) => {
    most = Math.max(most, ++running);
    // The first ones take the longest.
    for (let turn = 0; turn < (url?.length === 2 ? 5 : 1); turn++) await new Promise(setImmediate);
    running--;
    response.end(`<${url}>`);
  });
  await sendAll(pair.socket, requests(4_000));
  await waitFor(() => pair.received.text.includes('</3999>'));
  const answered = pair.received.text.match(/<\/\d+>/g)?.map((one) => Number(one.slice(2, -1)));
  assert.deepEqual(
    answered,
    Array.from({ length: 4_000 }, (_, index) => index),
  );
  assert.equal(most, 1);
});

test('a connection is not read while many of its requests wait, and is read again afterwards', async () => {
  const gate = Promise.withResolvers<void>();
  let parsed = 0;
  let answered = 0;
  await using pair = await connected(async (_, response) => {
    await gate.promise;
    answered++;
    response.end();
  });
  pair.server.on('request', () => parsed++);
  const count = 30_000;
  void sendAll(pair.socket, requests(count));
  await waitFor(() => parsed > LIMITS.pauseAt);
  // Whatever else it read, it would read before it takes another connection and answers there.
  for (let turn = 0; turn < 20; turn++) {
    const other = await pair.begin();
    other.end('nonsense\r\n\r\n');
    await once(other.resume(), 'close');
  }
  assert.ok(parsed < LIMITS.each, `${parsed} requests were read`);
  gate.resolve();
  await waitFor(() => answered === count);
});

test('a request with a body behind others is read to its end', async () => {
  await using pair = await connected(async (asked, response) => {
    const chunks = await asked.toArray();
    response.end(`<${asked.url} ${Buffer.concat(chunks)}>`);
  });
  await sendAll(pair.socket, requests(30));
  await sendAll(pair.socket, 'POST /last HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nfir');
  await sendAll(pair.socket, 'st!');
  await waitFor(() => pair.received.text.includes('</last first!>'));
});

test('requests behind one whose connection is lost are not handled, and their responses close', async () => {
  const handled: (string | undefined)[] = [];
  let closed = 0;
  await using pair = await connected(({ url }) => handled.push(url));
  pair.server.on('request', (_, response) => response.once('close', () => closed++));
  await sendAll(pair.socket, requests(5));
  await waitFor(() => handled.length === 1);
  pair.socket.destroy();
  await waitFor(() => closed === 5);
  assert.deepEqual(handled, ['/0']);
});

test('a connection is closed that has more requests waiting than may be, and another one is not', async () => {
  const limits = { pauseAt: 1_000, each: 8, total: 12 };
  await using pair = await connected(() => {}, limits);
  const second = await pair.begin();
  let parsed = 0;
  pair.server.on('request', () => parsed++);
  second.write(requests(8));
  await waitFor(() => parsed === 8);
  pair.socket.write(requests(10));
  await once(pair.socket, 'close');

  const third = await pair.begin();
  third.write(requests(8));
  await once(third.resume(), 'close');
  assert.equal(second.destroyed, false);
  second.destroy();
});
