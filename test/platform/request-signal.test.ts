/** What Node 24 lacks before 24.16: the signal of a request. Here Node's own is taken away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, get, IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { provideRequestSignal } from '../../src/platform/request-signal.ts';

const own = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, 'signal');
Reflect.deleteProperty(IncomingMessage.prototype, 'signal');
provideRequestSignal();

async function serve() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    request: async () => (await once(server, 'request')) as [IncomingMessage, ServerResponse],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('Node’s own signal is what this stands for', () => {
  assert.equal(typeof own?.get, 'function');
  assert.ok('signal' in IncomingMessage.prototype);
});

test('the signal of a request aborts when its client goes before the answer', async () => {
  await using server = await serve();
  const arrived = server.request();
  const asked = get({ port: server.port, host: '127.0.0.1', agent: false }).on('error', () => {});
  const [request] = await arrived;
  assert.equal(request.signal, request.signal);
  assert.equal(request.signal.aborted, false);
  const aborted = once(request.signal, 'abort');
  asked.destroy();
  await aborted;
  const late = new IncomingMessage(request.socket);
  assert.equal(late.signal.aborted, true);
});

test('it does not abort once the answer is sent, however often a connection is used, and leaves nothing', async () => {
  await using server = await serve();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const signals: AbortSignal[] = [];
  let socket: IncomingMessage['socket'] | undefined;
  let listeners: number | undefined;
  for (let turn = 0; turn < 3; turn += 1) {
    const arrived = server.request();
    const answered = once(get({ port: server.port, host: '127.0.0.1', agent }), 'response');
    const [request, response] = await arrived;
    assert.equal(request.socket, socket ?? request.socket);
    socket = request.socket;
    listeners ??= socket.listenerCount('close');
    signals.push(request.signal);
    assert.equal(socket.listenerCount('close'), listeners + 1);
    response.end('done');
    const [message] = (await answered) as [IncomingMessage];
    await message.toArray();
  }
  assert.ok(socket);
  const closed = once(socket, 'close');
  agent.destroy();
  await closed;
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [false, false, false],
  );
});
