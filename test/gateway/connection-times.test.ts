import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { GATEWAY_LIMITS } from '../../src/gateway/limits.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';

const SIZE = 16 * 1024 * 1024;
const image = imageOf({ size: SIZE });

let hub: FakeHub;
let hubgate: TestHubgate;

before(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', image);
  // The time for a whole request would end what the one for its headers does not.
  const times = {
    ...GATEWAY_LIMITS.times,
    requestHeaders: 500,
    request: 600_000,
    inactivity: 1_000,
    check: 50,
  };
  hubgate = await TestHubgate.start(hub, {
    policy: 'allow: [{ pull: library/**, to: authenticated }]',
    limits: { times },
  });
});

after(async () => {
  await hubgate[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function connected(options: { readonly maxVersion?: 'TLSv1.2' } = {}): Promise<TLSSocket> {
  const { port, ca } = hubgate;
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', ...options });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}

test('invariant 16: a client that stops reading is given up', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  const target = `/v2/library/alpine/blobs/${image.layers[0]}`;
  const cached = await hubgate.ask(target, { token });
  assert.equal(cached.body.length, SIZE);
  const socket = await connected();
  socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await once(socket, 'readable');
  // Its end is recorded.
  await waitFor(async () => {
    const pulls = (await hubgate.audit()).filter(({ action }) => action === 'pull');
    return pulls.some(({ bytes }) => Number(bytes) < SIZE);
  });
  socket.destroy();
});

test('invariant 16: a request whose headers do not end is given up', async () => {
  const socket = await connected();
  socket.write('GET /v2/ HTTP/1.1\r\nHost: localhost\r\n');
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 408 /);
  await once(socket, 'close');
});

test('a TLS connection is not negotiated anew', async () => {
  const socket = await connected({ maxVersion: 'TLSv1.2' });
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  socket.renegotiate({ rejectUnauthorized: true, requestCert: false }, resolve);
  socket.once('error', resolve);
  assert.match(String(await promise), /no renegotiation/);
  socket.destroy();
});
