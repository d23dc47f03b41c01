import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { GATEWAY_LIMITS } from '../../src/gateway/limits.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const SIZE = 16 * 1024 * 1024;
const image = imageOf({ size: SIZE });

const TIMES = {
  ...GATEWAY_LIMITS.times,
  requestHeaders: 500,
  // A body that keeps coming is ended by the time for all of it alone.
  bodyIdle: 600_000,
  smallBody: 1_000,
  inactivity: 3_000,
  check: 50,
};

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: library/**, to: authenticated }]',
    limits: { times: TIMES },
    images: { 'library/alpine': image },
  },
);

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

/** Writes `text` again and again until the connection ends. Returns what the gateway answered. */
async function answerWhile(socket: TLSSocket, text: string): Promise<string> {
  const writing = setInterval(() => socket.writable && socket.write(text), 50);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const [answer] = await once(socket, 'data');
  await closed;
  clearInterval(writing);
  return String(answer);
}

test('invariant 16: a request whose headers do not end is given up', async () => {
  const socket = await connected();
  socket.write('GET /v2/ HTTP/1.1\r\nHost: localhost\r\n');
  assert.match(await answerWhile(socket, ''), /^HTTP\/1\.1 408 /);
});

test('invariant 16: a request whose headers come slowly is given up', async () => {
  const socket = await connected();
  socket.write('GET /v2/ HTTP/1.1\r\nHost: localhost\r\n');
  assert.match(await answerWhile(socket, 'a: b\r\n'), /^HTTP\/1\.1 408 /);
});

test('invariant 16: a form that comes slowly is given up', async () => {
  const socket = await connected();
  // After the last byte of the form, the answer is another one.
  socket.write('POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400\r\n\r\n');
  assert.match(await answerWhile(socket, 'x'), /^HTTP\/1\.1 408 /);
});

test('a TLS connection is not negotiated anew', async () => {
  const socket = await connected({ maxVersion: 'TLSv1.2' });
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  socket.renegotiate({ rejectUnauthorized: true, requestCert: false }, resolve);
  socket.once('error', resolve);
  assert.match(String(await promise), /no renegotiation/);
  socket.destroy();
});
