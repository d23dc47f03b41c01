import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { OriginKinds } from '../../../src/core/upstream/origin-kinds.ts';

const ORIGIN = 'https://registry.example';

function connectedTo(address: string): Socket {
  return Object.defineProperty(new Socket(), 'remoteAddress', { value: address });
}

function connect(kinds: OriginKinds, address: string): Socket {
  const socket = connectedTo(address);
  const { protocol, hostname, host, port } = new URL(ORIGIN);
  kinds.recording((_, callback) => callback(null, socket))({ protocol, hostname, host, port }, () => {});
  return socket;
}

async function close(socket: Socket): Promise<void> {
  const closed = once(socket, 'close');
  socket.destroy();
  await closed;
}

test('an origin is of the kind of address that it was reached at, also after the connection', async () => {
  const kinds = new OriginKinds();
  assert.equal(kinds.of(ORIGIN), 'other');
  const socket = connect(kinds, '10.9.8.7');
  assert.equal(kinds.of(ORIGIN), 'private');
  assert.equal(kinds.of('https://registry.example:444'), 'other');
  await close(socket);
  assert.equal(kinds.of(ORIGIN), 'private');
});

test('who is reached at a public and at a private address is given neither', async () => {
  const kinds = new OriginKinds();
  const first = connect(kinds, '93.184.216.34');
  const second = connect(kinds, '10.9.8.7');
  assert.equal(kinds.of(ORIGIN), 'other');
  await close(second);
  connect(kinds, '10.9.8.7');
  assert.equal(kinds.of(ORIGIN), 'other');
  await close(first);
});

test('who has moved altogether is of the new kind', async () => {
  const kinds = new OriginKinds();
  await close(connect(kinds, '93.184.216.34'));
  connect(kinds, '10.9.8.7');
  assert.equal(kinds.of(ORIGIN), 'private');
});
