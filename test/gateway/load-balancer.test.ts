import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { after, afterEach, test } from 'node:test';
import { GATEWAY_LIMITS } from '../../src/gateway/limits.ts';
import { ask, type TestResponse } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { basic, PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';
import { type BalancerOptions, startBalancer } from './support/balancer.ts';
import { proxyV2 } from './support/proxy-v2.ts';

const POLICY = [
  'allow:',
  '  - { id: lab, pull: "library/**", to: anonymous, from: 192.0.2.0/24 }',
  '  - { id: lab6, pull: "library/**", to: anonymous, from: 2001:db8:7::/48 }',
  '  - { id: people, pull: "library/**", to: authenticated }',
].join('\n');
const ALPINE = '/v2/library/alpine/manifests/latest';
/** Of a balancer with which the mirror has little patience. */
const SLOW = '127.0.0.3';
const LIMITS = {
  inFlight: { ...GATEWAY_LIMITS.inFlight, ofAddress: 1 },
  times: { ...GATEWAY_LIMITS.times, proxyHeader: 200 },
};
/** The address of a peer that nobody lists. */
const STRANGER = '127.0.0.2';

/** Behind balancers that write a PROXY header. */
const { hub, hubgate: proxied } = await withMirror(
  { after },
  {
    policy: POLICY,
    configuration: { server: { proxyProtocol: ['127.0.0.1'] } },
    images: { 'library/alpine': imageOf() },
  },
);
/** Behind proxies that write `X-Forwarded-For`. */
const { hubgate: forwarded } = await withMirror(
  { after },
  {
    policy: POLICY,
    limits: LIMITS,
    configuration: { server: { trustedProxies: ['127.0.0.1'], proxyProtocol: [SLOW] } },
    hub,
  },
);

afterEach(() => hub.heal());

type Through = Omit<BalancerOptions, 'port'> & { readonly headers?: Record<string, string> };

async function through({ headers = {}, ...options }: Through, path = ALPINE): Promise<TestResponse> {
  await using balancer = await startBalancer({ ...options, port: proxied.port });
  return await proxied.send({ path, headers, agent: false, family: 4, port: balancer.port });
}

async function lastAddress(hubgate: TestHubgate): Promise<unknown> {
  await waitFor(async () => (await hubgate.audit()).length > 0);
  const { address } = (await hubgate.audit()).at(-1) ?? {};
  return address;
}

async function audited(hubgate: TestHubgate, asked: () => Promise<TestResponse>) {
  const before = (await hubgate.audit().catch(() => [])).length;
  const { status } = await asked();
  await waitFor(async () => (await hubgate.audit()).length > before);
  return { status, address: await lastAddress(hubgate) };
}

test('the address of a PROXY header decides what a client may pull, and is recorded', async () => {
  const cases: readonly [through: Through, address: string, status: number][] = [
    [{ header: 'PROXY TCP4 192.0.2.7 10.0.0.1 50123 443\r\n' }, '192.0.2.7', 200],
    [{ header: 'PROXY TCP4 192.0.3.7 10.0.0.1 50123 443\r\n' }, '192.0.3.7', 401],
    [{ header: 'PROXY TCP6 2001:db8:7::9 ::1 50123 443\r\n' }, '2001:db8:7::9', 200],
    [{ header: 'PROXY TCP6 ::ffff:192.0.2.7 ::1 50123 443\r\n', inPieces: true }, '192.0.2.7', 200],
    [{ header: proxyV2({ source: '192.0.2.7' }) }, '192.0.2.7', 200],
    [{ header: proxyV2({ source: '192.0.2.7', more: Buffer.alloc(500) }), inPieces: true }, '192.0.2.7', 200],
    [{ header: proxyV2({ source: '2001:db8:7::9' }) }, '2001:db8:7::9', 200],
    [{ header: proxyV2({ source: '2001:db8:8::9' }) }, '2001:db8:8::9', 401],
    [{ header: proxyV2({ source: '::ffff:192.0.2.7' }) }, '192.0.2.7', 200],
    [{ header: proxyV2({ source: '::ffff:192.0.3.7' }) }, '192.0.3.7', 401],
    // The balancer speaks for itself.
    [{ header: 'PROXY UNKNOWN\r\n' }, '127.0.0.1', 401],
    [{ header: proxyV2({ source: '192.0.2.7', command: 0x20 }) }, '127.0.0.1', 401],
    // No proxy is trusted, so what a header of HTTP says does not count.
    [{ header: 'PROXY UNKNOWN\r\n', headers: { 'x-forwarded-for': '192.0.2.7' } }, '127.0.0.1', 401],
  ];
  for (const [one, address, status] of cases) {
    const answer = await audited(proxied, () => through(one));
    assert.deepEqual(answer, { status, address }, String(one.header));
  }
});

test('a large answer and several requests come through a connection with a PROXY header', async () => {
  const image = imageOf();
  hub.push('library/large', 'latest', image);
  await using balancer = await startBalancer({
    header: proxyV2({ source: '192.0.2.7' }),
    port: proxied.port,
  });
  for (const digest of [...image.layers, image.layers[0]]) {
    const path = `/v2/library/large/blobs/${digest}`;
    await proxied.send({ path: '/v2/library/large/manifests/latest', family: 4, port: balancer.port });
    const { status, body } = await proxied.send({ path, family: 4, port: balancer.port });
    assert.equal(status, 200);
    assert.ok(body.length > 0);
  }
});

test('a PROXY header of a peer that is not listed ends the connection', async () => {
  const header = proxyV2({ source: '192.0.2.7' });
  for (const one of [header, 'PROXY TCP4 192.0.2.7 10.0.0.1 50123 443\r\n'])
    await assert.rejects(through({ header: one, address: STRANGER }));
  // Without one it is served.
  const { status } = await through({ header: '', address: STRANGER }, '/healthz');
  assert.equal(status, 200);
  const answer = await audited(proxied, () => through({ header: '', address: STRANGER }));
  assert.deepEqual(answer, { status: 401, address: STRANGER });
});

test('a PROXY header of a peer that is listed for X-Forwarded-For alone ends the connection', async () => {
  await using balancer = await startBalancer({
    header: proxyV2({ source: '192.0.2.7' }),
    port: forwarded.port,
  });
  await assert.rejects(forwarded.send({ path: '/healthz', agent: false, family: 4, port: balancer.port }));
});

test('a listed peer without a valid PROXY header is refused, and the log says why once', async () => {
  await assert.rejects(through({ header: '' }, '/healthz'));
  await assert.rejects(through({ header: `PROXY UNKNOWN ${'x'.repeat(100)}\r\n` }, '/healthz'));
  await assert.rejects(through({ header: proxyV2({ more: Buffer.alloc(5_000) }) }, '/healthz'));
  const logged = proxied.log.filter(({ reason }) => reason === 'it does not begin with a PROXY header');
  assert.equal(logged.length, 1);
  const [{ msg } = {}] = logged;
  assert.match(String(msg), /server\.proxyProtocol lists is refused/);
});

test('invariant 16: a PROXY header has a deadline', async () => {
  const ended = ['', 'PROXY TCP4 192.0.2.7', '\r\n\r\n\0\r\nQU'].map(async (beginning) => {
    const socket = createConnection({ host: '127.0.0.1', port: forwarded.port, localAddress: SLOW });
    socket.write(beginning);
    await once(socket.resume(), 'close');
  });
  await Promise.all(ended);
});

test('a mirror whose own machine is listed finds that it is ready', async () => {
  const { status, body } = await ask({ host: '127.0.0.1', port: proxied.adminPort, path: '/readyz' });
  assert.equal(status, 200, body.toString());
});

function forward(chain: string, more: { user?: string; address?: string; signal?: AbortSignal } = {}) {
  const { user, address: localAddress = '127.0.0.1', signal } = more;
  return forwarded.send({
    ...{ path: ALPINE, agent: false, family: 4, localAddress, ...(signal && { signal }) },
    headers: { 'x-forwarded-for': chain, ...(user && { authorization: basic(user, PASSWORD) }) },
  });
}

test('X-Forwarded-For of a trusted proxy decides what a client may pull, and is recorded', async () => {
  for (const [chain, address, status] of [
    ['192.0.2.7', '192.0.2.7', 200],
    ['203.0.113.9, 192.0.2.7, 127.0.0.1', '192.0.2.7', 200],
    ['192.0.2.7, 203.0.113.9', '203.0.113.9', 401],
    ['::ffff:192.0.2.7', '192.0.2.7', 200],
    ['2001:db8:7::9', '2001:db8:7::9', 200],
    ['[2001:db8:7::9]:50123, ::ffff:127.0.0.1', '2001:db8:7::9', 200],
    ['192.0.2.7, 2001:db8:8::9', '2001:db8:8::9', 401],
    ['unknown', '127.0.0.1', 401],
  ] as const)
    assert.deepEqual(await audited(forwarded, () => forward(chain)), { status, address }, chain);
});

test('X-Forwarded-For of any other peer does not count', async () => {
  const asked = () => forward('192.0.2.7', { address: STRANGER });
  assert.deepEqual(await audited(forwarded, asked), { status: 401, address: STRANGER });
});

test('balancers and proxies that are listed by an address of IPv6 speak for their clients, and no others', async (t) => {
  const lists = { proxyProtocol: ['::1', '::ffff:127.0.0.1'], trustedProxies: ['::1'] };
  const { hubgate: listed } = await withMirror(t, { policy: POLICY, configuration: { server: lists }, hub });
  const asked = async (peer: '::1' | '127.0.0.1', address: string, headers: Record<string, string> = {}) => {
    const header = proxyV2({ source: address });
    await using balancer = await startBalancer({ header, port: listed.port, address: peer });
    const send = () => listed.send({ path: ALPINE, headers, agent: false, family: 4, port: balancer.port });
    return await audited(listed, send);
  };
  for (const peer of ['::1', '127.0.0.1'] as const) {
    assert.deepEqual(await asked(peer, '2001:db8:7::9'), { status: 200, address: '2001:db8:7::9' });
    assert.deepEqual(await asked(peer, '::ffff:192.0.3.7'), { status: 401, address: '192.0.3.7' });
  }
  // The peer of the request is whom the PROXY header names, and only ::1 is trusted.
  const headers = { 'x-forwarded-for': '2001:db8:7::9' };
  assert.deepEqual(await asked('::1', '::1', headers), { status: 200, address: '2001:db8:7::9' });
  assert.deepEqual(await asked('::1', '127.0.0.1', headers), { status: 401, address: '127.0.0.1' });
});

test('two lines of X-Forwarded-For are one list', async () => {
  const headers = { 'x-forwarded-for': ['192.0.2.7', '203.0.113.9'] };
  const asked = () => forwarded.send({ path: ALPINE, agent: false, family: 4, headers });
  assert.deepEqual(await audited(forwarded, asked), { status: 401, address: '203.0.113.9' });
});

test('the networks of a service token are compared with the client’s address', async () => {
  const { text } = await forwarded.giveToken('ana', { from: ['198.51.100.0/24'] });
  const headers = (chain: string) => ({ 'x-forwarded-for': chain, authorization: basic('ana', text) });
  const asked = async (chain: string, path: string) =>
    (await forwarded.send({ path, agent: false, family: 4, headers: headers(chain) })).status;
  for (const path of ['/v2/', '/token']) {
    assert.equal(await asked('198.51.100.7', path), 200, path);
    assert.equal(await asked('198.51.101.7', path), 401, path);
  }
});

test('requests in flight are bounded by the client’s address', async () => {
  hub.push('library/slow', 'latest', imageOf());
  hub.plant('registry', /slow/, { kind: 'hang' });
  const end = new AbortController();
  const slow = forwarded.send({
    ...{ path: '/v2/library/slow/manifests/latest', agent: false, family: 4, signal: end.signal },
    headers: { 'x-forwarded-for': '192.0.2.7' },
  });
  slow.catch(() => {});
  await waitFor(() => hub.log.some(({ path }) => path.includes('/slow/')));
  assert.equal((await forward('192.0.2.7')).status, 429);
  assert.equal((await forward('192.0.2.8')).status, 200);
  end.abort();
  await waitFor(async () => (await forward('192.0.2.7')).status === 200);
});
