import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { ask, type TestRequest } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';
import { startBalancer } from './support/balancer.ts';
import { proxyV2 } from './support/proxy-v2.ts';

const POLICY = [
  'allow:',
  '  - { id: open, pull: "library/**", to: anonymous, from: [127.0.0.0/8, 192.0.2.0/24] }',
  '  - { id: far, pull: "far/**", to: anonymous, from: 192.0.2.0/24 }',
  '  - { id: people, pull: "people/**", to: authenticated }',
].join('\n');
const manifest = (repository: string) => `/v2/${repository}/manifests/latest`;

/** The address of a trusted proxy, of a peer that is none, and of one that writes a PROXY header. */
const PROXY = '127.0.0.9';
const STRANGER = '127.0.0.2';
const BALANCER = '127.0.0.8';

const port = await freePort();
const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    configuration: {
      server: {
        plain: `:${port}`,
        catalog: true,
        trustedProxies: [PROXY, BALANCER],
        proxyProtocol: [BALANCER],
      },
    },
    images: { 'library/alpine': imageOf(), 'far/tool': imageOf(), 'people/tool': imageOf() },
  },
);

function send(localAddress: string, path: string, more: TestRequest = {}) {
  return ask({ host: '127.0.0.1', port, localAddress, path, agent: false, ...more });
}

async function statuses(localAddress: string, paths: readonly string[], more: TestRequest = {}) {
  const answers = await Promise.all(paths.map((path) => send(localAddress, path, more)));
  return answers.map(({ status }) => status);
}

const login = { headers: { authorization: basic('ana', PASSWORD) } };

test('a peer that is no trusted proxy is served what anonymous may pull from its network, and nothing more', async () => {
  const paths = ['/v2/', manifest('library/alpine'), '/v2/library/alpine/tags/list', '/healthz', '/ca.crt'];
  assert.deepEqual(await statuses(STRANGER, paths), [200, 200, 200, 200, 200]);
  const forwarded = { headers: { 'x-forwarded-for': '192.0.2.7' } };
  const refused = [manifest('far/tool'), manifest('people/tool'), manifest('people/none')];
  assert.deepEqual(await statuses(STRANGER, refused, forwarded), [403, 403, 403]);
  assert.deepEqual(await statuses(STRANGER, ['/v2/_catalog', '/.well-known/jwks.json']), [404, 404]);
});

test('a blob comes without TLS as it does with TLS', async () => {
  const { body } = await send(STRANGER, manifest('library/alpine'));
  const { layers } = JSON.parse(body.toString()) as { layers: { digest: string }[] };
  const path = `/v2/library/alpine/blobs/${layers[0]?.digest}`;
  const [plain, tls] = await Promise.all([send(STRANGER, path), hubgate.send({ path, family: 4 })]);
  assert.deepEqual([plain.status, tls.status], [200, 200]);
  assert.ok(plain.body.equals(tls.body));
});

test('invariant 4: without TLS a refused and a missing repository are the same, and nobody is challenged', async () => {
  const before = hub.log.length;
  const [refused, missing] = await Promise.all([
    send(STRANGER, manifest('people/tool')),
    send(STRANGER, manifest('people/none')),
  ]);
  assert.equal(refused.body.toString(), missing.body.toString());
  assert.match(refused.body.toString(), /"DENIED".*use https:\/\/localhost:\d+/);
  for (const { headers } of [refused, missing]) assert.equal(headers['www-authenticate'], undefined);
  assert.equal(hub.log.length, before);
});

test('a request that carries a credential is refused, whatever the credential, and logged once', async () => {
  const { text } = await hubgate.giveToken('ana');
  const token = await hubgate.token('ana', 'library/alpine');
  const before = hubgate.log.length;
  const asked = (path: string, more: TestRequest) => send('127.0.0.4', path, more);
  for (const authorization of [basic('ana', PASSWORD), basic('ana', text), `Bearer ${token}`, 'x', '']) {
    const { status, body } = await asked(manifest('library/alpine'), { headers: { authorization } });
    assert.equal(status, 403, authorization);
    assert.match(body.toString(), /no credential is taken without TLS; use https:\/\/localhost:\d+/);
  }
  const form = `grant_type=password&username=ana&password=${encodeURIComponent(PASSWORD)}&service=x`;
  for (const [path, more] of [
    ['/v2/', login],
    ['/v2/', { headers: { 'proxy-authorization': basic('ana', PASSWORD) } }],
    ['/token', { method: 'POST', send: form }],
    ['/token?scope=repository:library/alpine:pull', {}],
    ['/healthz', login],
  ] as const)
    assert.equal((await asked(path, more)).status, 403, path);
  const logged = hubgate.log.slice(before).filter(({ address }) => address === '127.0.0.4');
  assert.equal(logged.length, 1);
  assert.doesNotMatch(JSON.stringify(hubgate.log), new RegExp(PASSWORD));
});

test('a trusted proxy is served as with TLS, with the address that it says', async () => {
  const from = (address: string, more = {}) => ({ headers: { 'x-forwarded-for': address, ...more } });
  const { authorization } = login.headers;
  assert.equal((await send(PROXY, manifest('far/tool'), from('192.0.2.7'))).status, 200);
  assert.equal((await send(PROXY, manifest('far/tool'), from('192.0.3.7'))).status, 401);
  assert.equal(
    (await send(PROXY, manifest('people/tool'), from('192.0.3.7', { authorization }))).status,
    200,
  );
  const wrong = from('192.0.3.7', { authorization: basic('ana', 'wrong') });
  assert.equal((await send(PROXY, '/v2/', wrong)).status, 401);
  const answer = await send(
    PROXY,
    '/token?scope=repository:people/tool:pull',
    from('192.0.3.7', { authorization }),
  );
  assert.equal(answer.status, 200);
  const { token } = JSON.parse(answer.body.toString()) as { token: string };
  const byToken = from('192.0.3.7', { authorization: `Bearer ${token}` });
  assert.equal((await send(PROXY, manifest('people/tool'), byToken)).status, 200);
  await waitFor(async () => (await hubgate.audit()).some(({ action }) => action === 'token'));
  const issued = (await hubgate.audit()).find(
    ({ action, address }) => action === 'token' && address === '192.0.3.7',
  );
  assert.equal(issued?.subject, 'user:ana');
});

test('a challenge without TLS leads to server.url', async () => {
  const headers = { host: `mirror.example:${port}`, 'x-forwarded-host': 'mirror.example' };
  const { status, headers: answered } = await send(PROXY, '/v2/', { headers });
  const { port: own } = hubgate;
  assert.equal(status, 401);
  assert.equal(
    answered['www-authenticate'],
    `Bearer realm="https://localhost:${own}/token",service="localhost:${own}"`,
  );
});

test('a balancer that ends TLS may write a PROXY header, and must if it is listed', async () => {
  const header = proxyV2({ source: '192.0.2.7' });
  const passed = async (own: string, written: Buffer | string) => {
    await using balancer = await startBalancer({ header: written, port, address: own });
    const options = {
      host: '127.0.0.1',
      port: balancer.port,
      path: manifest('far/tool'),
      agent: false,
    } as const;
    return (await ask({ ...options, headers: login.headers })).status;
  };
  // Ana may not pull it, but her network may.
  await hubgate.setPolicy(
    `${POLICY}\n  - { id: near, pull: "far/**", to: authenticated, from: 192.0.2.0/24 }`,
  );
  await waitFor(async () => (await passed(BALANCER, header)) === 200);
  await assert.rejects(passed(BALANCER, ''));
  await assert.rejects(
    passed(PROXY, 'PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n').then((status) => assert.equal(status, 200)),
  );
});

test('there is no listener without TLS where none is configured', async () => {
  const { body } = await hubgate.send({ path: '/healthz' });
  assert.equal(body.toString(), 'ok\n');
  await assert.rejects(ask({ host: '127.0.0.1', port: hubgate.port, path: '/healthz', agent: false }));
});
