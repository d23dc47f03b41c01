import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { endEarly } from '../../src/gateway/http/early-refusal.ts';
import { EARLY_REFUSAL } from '../../src/gateway/limits.ts';

/** Sends so many bytes of a body that is longer, and resolves when the connection has ended. */
async function refusedAfter(bytes: number): Promise<string> {
  const server = createServer((request, response) => {
    response.setHeader('connection', 'close');
    response.write('refused');
    endEarly(request, response);
  });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  stack.defer(() => void socket.destroy());
  socket.write(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * EARLY_REFUSAL.mostBytes}\r\n\r\n`);
  socket.write(Buffer.alloc(bytes));
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await once(socket, 'end');
  return answer;
}

test('the body of a refused request is read so far, and then the connection ends', {
  timeout: 30_000,
}, async (t) => {
  // Only the bytes can end it.
  t.mock.timers.enable({ apis: ['setTimeout'] });
  assert.match(await refusedAfter(EARLY_REFUSAL.mostBytes), /refused/);
});
