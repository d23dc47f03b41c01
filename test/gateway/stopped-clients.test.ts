import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { closeStopped } from '../../src/gateway/http/stopped-clients.ts';
import { portOf } from '../../src/platform/port-of.ts';

/** Milliseconds. */
const INACTIVITY = 80;

test('invariant 16: only a connection with a request in flight is given up', async () => {
  await using server = createServer(({ url }, response) => {
    if (url === '/answered') response.end('ok');
  });
  using _ = closeStopped(server, INACTIVITY);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ask = (path: string) => {
    const socket = connect(portOf(server), '127.0.0.1');
    socket.on('error', () => {}).write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return socket;
  };
  const idle = ask('/answered');
  await once(idle, 'data');
  const stopped = ask('/unanswered').resume();
  // This one began later, so the other one has been silent for longer.
  await once(stopped, 'close');
  idle.write('GET /answered HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const answer = await Promise.race([once(idle, 'data'), once(idle, 'close')]);
  server.closeAllConnections();
  assert.match(String(answer), /200 OK/);
});
