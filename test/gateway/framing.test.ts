import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { imageOf } from '../support/image.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { withMirror } from '../support/with-mirror.ts';

const { hubgate } = await withMirror(
  { after },
  { policy: 'allow: [{ pull: library/**, to: authenticated }]', images: { 'library/alpine': imageOf() } },
);

/** The status lines that come back for bytes as they are written here. */
async function raw(text: string): Promise<string[]> {
  const socket = connect({ host: '127.0.0.1', port: hubgate.port, ca: hubgate.ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  socket.write(text);
  await new Promise((resolve) => socket.on('close', resolve));
  return received.match(/HTTP\/1\.1 \d{3}/g) ?? [];
}

const TARGET = '/v2/library/alpine/manifests/latest';
const LOGIN = `Authorization: ${basic('ana', PASSWORD)}\r\n`;

test('requests that two readers could read differently are refused, and the connection ends', async () => {
  const smuggled = `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\n${LOGIN}\r\n`;
  const requests: [name: string, text: string][] = [
    ['two hosts', `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n${LOGIN}\r\n`],
    [
      'two authorizations',
      `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\n${LOGIN}Authorization: Basic eDp5\r\n\r\n`,
    ],
    [
      'a body with GET',
      `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\n${LOGIN}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    ],
    [
      'a chunked body with GET',
      `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\n${LOGIN}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'length and chunks',
      `POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'two lengths',
      `POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n${smuggled}`,
    ],
    ['HTTP/1.0', `GET ${TARGET} HTTP/1.0\r\nHost: localhost\r\n${LOGIN}\r\n${smuggled}`],
    ['no host', `GET ${TARGET} HTTP/1.1\r\n${LOGIN}\r\n${smuggled}`],
    ['a bare line feed', `GET ${TARGET} HTTP/1.1\nHost: localhost\n${LOGIN}\r\n${smuggled}`],
    ['a folded header', `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n${LOGIN}\r\n${smuggled}`],
    ['a space before the colon', `GET ${TARGET} HTTP/1.1\r\nHost : localhost\r\n${LOGIN}\r\n${smuggled}`],
  ];
  for (const [name, text] of requests) assert.deepEqual(await raw(text), ['HTTP/1.1 400'], name);
});

test('a target that is a whole URL, or that no grammar knows, is unknown', async () => {
  for (const target of [`https://localhost${TARGET}`, `//localhost${TARGET}`, '*', 'v2/', `${TARGET}#x`]) {
    const [status] = await raw(
      `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${LOGIN}Connection: close\r\n\r\n`,
    );
    assert.match(status ?? '', /40[04]/, target);
  }
});

test('two plain requests behind each other get two answers', async () => {
  const one = `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\n${LOGIN}`;
  assert.deepEqual(await raw(`${one}\r\n${one}Connection: close\r\n\r\n`), ['HTTP/1.1 200', 'HTTP/1.1 200']);
});

test('TLS 1.2 and 1.3 with AEAD suites only, and no HTTP/2', async () => {
  const options = { host: '127.0.0.1', port: hubgate.port, ca: hubgate.ca, servername: 'localhost' };
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = connect({
      ...options,
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    await once(socket, 'secureConnect');
    assert.equal(socket.alpnProtocol, 'http/1.1');
    assert.match(socket.getCipher().name, /GCM|POLY1305/);
    socket.destroy();
  }
  for (const refused of [
    { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384' },
    { ALPNProtocols: ['h2'] },
  ] as const) {
    const socket = connect({ ...options, ...refused } as never);
    await assert.rejects(once(socket, 'secureConnect'), JSON.stringify(refused));
    socket.destroy();
  }
});
