import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { after, afterEach, test } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { imageOf } from '../support/image.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { withMirror } from '../support/with-mirror.ts';

/** The level of an error in pino's log. */
const ERROR = 50;

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: library/**, to: [authenticated, anonymous] }]',
    configuration: { server: { catalog: true } },
    images: { 'library/alpine': imageOf() },
  },
);

/** Whatever was asked, it was no fault of ours. */
afterEach(() => {
  const faults = hubgate.log.filter(({ level }) => level >= ERROR);
  assert.deepEqual(faults, []);
});

/**
 * Returns the status of the answer to these raw bytes; undefined if the connection ends without an answer.
 */
async function statusOf(text: string | Buffer, { admin = false } = {}): Promise<number | undefined> {
  const { port, adminPort, ca } = hubgate;
  const socket = admin
    ? connectPlain(adminPort, '127.0.0.1')
    : connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  const status = /^HTTP\/1\.1 (\d{3})/.exec(received)?.[1];
  return status === undefined ? undefined : Number(status);
}

function assertNoFailure(status: number | undefined, what: string): void {
  assert.ok(status === undefined || status < 500, `${status}: ${what}`);
}

const requestOf = (method: string, target: string, headers = '') =>
  Buffer.from(
    `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`,
    'latin1',
  );

const TARGETS = [
  ...[
    'http://[',
    'http://[/v2/',
    'https://a:b/',
    'http://a:99999999/',
    '//[',
    '//a:b/c',
    'http:',
    ':',
    '?',
    '*',
  ],
  ...[
    '/\\[',
    '/ a',
    '/\t//[',
    '/#//[',
    '/\xa0http://[',
    '/\xff',
    '/v2/%',
    '/v2/%00',
    '/token?%',
    '/token?scope=%ff',
  ],
  ...[
    '/v2/a/manifests/%zz',
    '/v2/_catalog?n=1e9&last=%',
    '/v2/_catalog?n=-1',
    '/healthz?%',
    '/ca.crt/[',
    'mailto:x',
  ],
  ...['/.well-known/jwks.json?[', `/${'a/'.repeat(3000)}`, `/v2/${'a'.repeat(7000)}/manifests/latest`],
];

test('no target is a failure of ours, of either listener', async () => {
  for (const target of TARGETS) {
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS', 'PROPFIND']) {
      const what = `${method} ${JSON.stringify(target)}`;
      assertNoFailure(await statusOf(requestOf(method, target)), what);
      if (method === 'GET') assertNoFailure(await statusOf(requestOf(method, target), { admin: true }), what);
    }
  }
});

test('no generated target or header is a failure of ours', async () => {
  const character = fc.integer({ min: 0x21, max: 0xff }).map((code) => String.fromCharCode(code));
  const piece = fc.oneof(
    character,
    fc.constantFrom('/v2/', '//', 'http://', '[', ']', ':', '%', '?', '&', '=', 'token', 'scope='),
  );
  const target = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''));
  const header = fc
    .tuple(
      fc.constantFrom(
        'Authorization',
        'Range',
        'If-None-Match',
        'If-Range',
        'User-Agent',
        'Accept',
        'Expect',
        'Cookie',
      ),
      fc.oneof(
        fc.constantFrom(
          'Bearer ',
          'Basic ',
          'Bearer a.b.c',
          'bytes=1-0',
          'bytes=9-,1',
          '100-continue',
          'Basic !!!!',
        ),
        fc.array(character, { maxLength: 20 }).map((all) => all.join('')),
      ),
    )
    .map(([name, value]) => `${name}: ${value}\r\n`);
  await fc.assert(
    fc.asyncProperty(target, header, async (text, line) => {
      assertNoFailure(await statusOf(requestOf('GET', text, line)), JSON.stringify([text, line]));
    }),
    { numRuns: 150 },
  );
});

function form(body: string, headers: Record<string, string> = {}) {
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  return hubgate.send({ path: '/token', method: 'POST', headers: { ...type, ...headers }, send: body });
}

test('no token request is a failure of ours, however much is in it', async () => {
  const controls = '\u0001'.repeat(60 * 1024);
  const bodies = [
    controls,
    `grant_type=password&username=ana&password=${controls}`,
    `grant_type=password&username=${controls}&password=x`,
    `grant_type=refresh_token&refresh_token=${controls}`,
    `grant_type=password&username=ana&password=${PASSWORD}&access_type=offline&client_id=${controls}`,
    `grant_type=password&username=ana&password=${PASSWORD}&scope=${controls}`,
    `scope=${'a '.repeat(32_000)}`,
    `scope=${'repository:library/alpine:pull+'.repeat(2_000)}`,
    `grant_type=password&username=ana&password=${'\u2028'.repeat(16_000)}`,
    `grant_type=password&username=%ff%fe&password=%00&scope=%00`,
    `username=${'\\'.repeat(60_000)}`,
    `grant_type=password&username=a&password=${'"'.repeat(60_000)}`,
  ];
  for (const body of bodies) assertNoFailure((await form(body)).status, JSON.stringify(body.slice(0, 60)));
  for (const secret of ['\u0001'.repeat(8_000), '\0', '\uffff'.repeat(3_000), ':'.repeat(9_000)]) {
    const headers = { authorization: basic('ana', secret) };
    for (const path of ['/token?service=x', '/v2/'])
      assertNoFailure((await hubgate.send({ path, headers })).status, JSON.stringify(secret.slice(0, 20)));
  }
});

test('a form that is too long is told so', async () => {
  const { status, body } = await form('a'.repeat(65 * 1024));
  assert.equal(status, 400);
  assert.match(body.toString(), /longer than 64 KiB/);
});

test('a form that is too long is told so while its rest is still on its way', async () => {
  const head = 'POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n';
  assert.equal(await statusOf(`${head}\r\n${'a'.repeat(65 * 1024)}`), 400);
});

test('a scope that can be none leaves the others as they are', async () => {
  const scopes = ['\u0001', 'repository:library/alpine:pull', 'x'.repeat(600)].map(
    (one) => `scope=${encodeURIComponent(one)}`,
  );
  const { status, body } = await form(scopes.join('&'));
  assert.equal(status, 200);
  assert.equal(JSON.parse(body.toString()).scope, 'repository:library/alpine:pull');
});

test('at most 50 scopes are granted, and a token is not stored on its way', async () => {
  const scopes = Array.from({ length: 60 }, (_, index) => `scope=repository:library/name-${index}:pull`);
  const { headers, body } = await hubgate.ask(`/token?${scopes.join('&')}`, { user: 'ana' });
  assert.equal(JSON.parse(body.toString()).scope.split(' ').length, 50);
  assert.equal(headers['cache-control'], 'no-store');
});
