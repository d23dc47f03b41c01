import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { afterEach, beforeEach, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { toStored } from '../../src/auth/admin/certificates.ts';
import { openAuthClient } from '../../src/gateway/clients/auth-client.ts';
import type { ClientAddress } from '../../src/gateway/http/client-address.ts';
import { makeAuthority, type TestPair, twinOf } from '../support/certificates.ts';
import type { TestRequest } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { scrape } from '../support/scrape.ts';
import { basic, PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `allow:
  - { pull: library/alpine, to: "cert:node-*" }
  - { pull: library/alpine, to: "cert:spiffe://corp.example/ns/prod/**" }
  - { pull: library/busybox, to: ana }`;
const TARGET = '/v2/library/alpine/manifests/latest';
const SCOPE = 'repository:library/alpine:pull';
const STRAY = { authorization: basic('somebody-at-the-hub', 'their-hub-password') };
const DAY = 24 * 60 * 60 * 1000;

let hubgate: TestHubgate;
let agents: Agent[];

beforeEach(async (t) => {
  ({ hubgate } = await withMirror(t, {
    policy: POLICY,
    images: { 'library/alpine': imageOf(), 'library/busybox': imageOf() },
  }));
  agents = [];
});

afterEach(() => {
  for (const agent of agents) agent.destroy();
});

async function statusOf(pair: TestPair | undefined, request: TestRequest = {}): Promise<number> {
  return (await hubgate.send({ path: TARGET, agent: false, ...pair, ...request })).status;
}

/** One connection that stays open, whoever asks over it. */
function openConnection(pair: TestPair): (request?: TestRequest) => Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: hubgate.ca, ...pair });
  agents.push(agent);
  let port: number | undefined;
  return async (request = {}) => {
    const { status } = await hubgate.send({ path: TARGET, agent, ...request });
    const socket = Object.values(agent.freeSockets)[0]?.[0];
    port ??= socket?.localPort;
    assert.equal(socket?.localPort, port, 'it is another connection');
    return status;
  };
}

async function revoke({ cert }: TestPair): Promise<void> {
  await using state = hubgate.openState();
  const stored = toStored(new X509Certificate(cert), 'node', Date.now());
  await state.putCertificate({ ...stored, revokedAt: Date.now() });
}

async function setClientCa(...authorities: readonly string[]): Promise<void> {
  await writeFile(hubgate.paths.ca.certificate, authorities.join('\n'));
}

async function tokenFor(pair: TestPair, headers: Record<string, string> = {}): Promise<string | number> {
  const target = `/token?service=x&scope=${SCOPE}`;
  const { status, body } = await hubgate.send({ path: target, agent: false, ...pair, headers });
  return status === 200 ? JSON.parse(body.toString()).token : status;
}

async function postToken(pair: TestPair, form: Record<string, string>) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const send = new URLSearchParams(form).toString();
  const posted = { path: '/token', method: 'POST', agent: false, headers, send, ...pair } as const;
  const { status, body } = await hubgate.send(posted);
  return { status, sub: status === 200 ? decodeJwt(JSON.parse(body.toString()).token).sub : undefined };
}

test('a certificate of the local CA is who asks, with no login and no token, and with foreign ones beside it', async () => {
  const node = await hubgate.issueCertificate('node-7');
  assert.equal(await statusOf(undefined), 401);
  assert.equal(await statusOf(node), 200);
  assert.equal(await statusOf(node, { headers: STRAY }), 200);
  assert.equal(await statusOf(node, { headers: { authorization: 'Bearer x.y.z' } }), 200);
  assert.equal(await statusOf(node, { path: '/v2/library/busybox/manifests/latest' }), 403);
  assert.equal(await statusOf(await hubgate.issueCertificate('laptop-7')), 403);
  await waitFor(async () => (await hubgate.audit()).length >= 6);
  const line = (await hubgate.audit()).find(({ status }) => status === 200);
  assert.equal(line?.subject, 'cert:node-7');
  assert.match(String(line?.credential), /^crt_[0-9a-f]{20}$/);
});

test('a machine’s certificate stands in nobody’s way who logs in: /v2/ shows the challenge, and a login or token of ours says who asks', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const path = '/v2/library/busybox/manifests/latest';
  const login = { authorization: basic('ana', PASSWORD) };
  const challenged = await hubgate.send({ path: '/v2/', agent: false, ...node });
  assert.equal(challenged.status, 401);
  assert.match(String(challenged.headers['www-authenticate']), /^Bearer realm="[^"]+",service="[^"]+"$/);
  assert.equal(await statusOf(node, { path: '/v2/', headers: login }), 200);
  assert.equal(await statusOf(node, { path: '/v2/', headers: STRAY }), 401);
  const fetched = { authorization: `Bearer ${await hubgate.token('ana', 'library/busybox')}` };
  for (const headers of [login, fetched]) {
    assert.equal(await statusOf(node, { path, headers }), 200);
    assert.equal(await statusOf(node, { path: '/v2/', headers }), 200);
  }
  const own = { authorization: `Bearer ${await tokenFor(node)}` };
  assert.equal(await statusOf(node, { path: '/v2/', headers: own }), 200);
  await waitFor(async () => (await hubgate.audit()).filter(({ action }) => action === 'pull').length >= 2);
  for (const line of (await hubgate.audit()).filter(({ action }) => action === 'pull'))
    assert.equal(line.subject, 'user:ana');
});

test('a token that has ended beside a certificate is refused, because its pull would go on as somebody else', async () => {
  const node = await hubgate.issueCertificate('node-7');
  hubgate.ahead = -400_000;
  const token = await hubgate.token('ana', 'library/alpine');
  hubgate.ahead = 0;
  assert.equal(await statusOf(node, { headers: { authorization: `Bearer ${token}` } }), 401);
});

test('the login of another registry beside a certificate is held against nobody', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const wrong = { authorization: basic('ana', 'the-password-of-ana-at-the-hub') };
  assert.equal(await statusOf(node, { headers: wrong }), 200);
  const logins = await scrape(hubgate.adminPort);
  const outcomes = ['stray', 'wrong'].map((outcome) =>
    logins.value('hubgate_logins_total', { by: 'password', outcome }),
  );
  assert.deepEqual(outcomes, [1, 0]);
});

test('a certificate that does not count is as none: what else is shown is asked', async () => {
  const ana = { authorization: basic('ana', PASSWORD) };
  const foreign = makeAuthority('foreign CA').issue({ commonName: 'node-7' });
  const path = '/v2/library/busybox/manifests/latest';
  assert.equal(await statusOf(foreign), 401);
  assert.equal(await statusOf(foreign, { path: '/v2/' }), 401);
  assert.equal(await statusOf(foreign, { path, headers: ana }), 200);
  const node = await hubgate.issueCertificate('node-7');
  await revoke(node);
  await waitFor(async () => (await statusOf(node)) === 401);
  assert.equal(await statusOf(node, { path, headers: ana }), 200);
  assert.equal(await statusOf(node, { path: '/v2/', headers: STRAY }), 401);
});

test('a certificate that is revoked or has expired is named as such to whoever holds its key, whatever they ask for', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const wordsFor = async (request: TestRequest) => {
    const { status, body, headers } = await hubgate.send({ path: TARGET, agent: false, ...node, ...request });
    const { message } = JSON.parse(body.toString()).errors[0];
    return { status, message, challenge: String(headers['www-authenticate']) };
  };
  const isNamed = async (words: RegExp) => {
    const alone = await wordsFor({});
    assert.equal(alone.status, 401);
    assert.match(alone.message, words);
    assert.match(alone.challenge, new RegExp(`error_description="${words.source}`));
    assert.deepEqual(await wordsFor({ path: TARGET.replace('alpine', 'nowhere') }), {
      ...alone,
      challenge: alone.challenge.replace('alpine', 'nowhere'),
    });
    const token = await tokenFor(node);
    const byToken = await wordsFor({ headers: { authorization: `Bearer ${token}` } });
    assert.equal(byToken.status, 403);
    assert.match(byToken.message, words);
    const foreign = await wordsFor({ path: `/token?scope=${SCOPE}`, headers: STRAY });
    assert.match(foreign.message, new RegExp(`^incorrect username or password; ${words.source}`));
  };
  hubgate.ahead = DAY + 60_000;
  await isNamed(/the client certificate is expired/);
  hubgate.ahead = 0;
  await revoke(node);
  await waitFor(async () => (await statusOf(node)) === 401);
  await isNamed(/the client certificate is revoked/);
  const login = { authorization: basic('ana', PASSWORD) };
  assert.doesNotMatch((await wordsFor({ headers: login })).message, /certificate/);
  const stranger = makeAuthority('foreign CA').issue({ commonName: 'node-7' });
  const { body } = await hubgate.send({ path: TARGET, agent: false, ...stranger });
  assert.doesNotMatch(body.toString(), /certificate/);
});

test('invariant 13: a certificate that ends or is revoked ends on an open connection, within a second', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const ask = openConnection(node);
  assert.equal(await ask(), 200);
  hubgate.ahead = DAY + 60_000;
  assert.equal(await ask(), 401);
  hubgate.ahead = 0;
  assert.equal(await ask(), 200);
  await revoke(node);
  assert.ok((await untilTrue(async () => (await ask()) === 401)) < 1_000);
  assert.equal(await statusOf(node), 401);
});

test('a revoked certificate stays so when its signature is written in the other way', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const twin = { cert: twinOf(node.cert), key: node.key };
  assert.notEqual(twin.cert, node.cert);
  assert.equal(await statusOf(twin), 200);
  const token = await tokenFor(twin);
  assert.equal(await statusOf(undefined, { headers: { authorization: `Bearer ${token}` } }), 200);
  await revoke(node);
  await waitFor(async () => (await statusOf(node)) === 401);
  assert.equal(await statusOf(twin), 401);
  assert.equal(await statusOf(undefined, { headers: { authorization: `Bearer ${token}` } }), 401);
});

test('who may issue is what the file says now: several authorities, others, none', async () => {
  const [corp, other] = [makeAuthority('corporate CA'), makeAuthority('other CA')];
  const spiffe = [{ type: 6, value: 'spiffe://corp.example/ns/prod/sa/web' }];
  const web = corp.issue({ commonName: 'web', altNames: spiffe });
  const stray = other.issue({ commonName: 'node-8', usage: { serverAuth: true } });
  const node = await hubgate.issueCertificate('node-7');
  const ask = openConnection(node);
  assert.deepEqual([await ask(), await statusOf(web)], [200, 401]);
  await setClientCa('two of them', corp.cert, other.cert);
  await waitFor(async () => (await ask()) === 401);
  await waitFor(async () => (await statusOf(web)) === 200);
  assert.equal(await statusOf(other.issue({ commonName: 'node-8' })), 200);
  assert.equal(await statusOf(stray), 401);
  await setClientCa('-----BEGIN CERTIFICATE-----\ntorn');
  await waitFor(() =>
    hubgate.log.some(({ msg }) => String(msg).startsWith('file of client authorities refused')),
  );
  assert.equal(await statusOf(web), 200);
  assert.equal(await statusOf(node), 401);
  await setClientCa(hubgate.ca);
  await waitFor(async () => (await statusOf(node)) === 200);
  assert.equal(await statusOf(web), 401);
});

test('a token is given for a certificate to whoever asks with a scope, and lives as long as the certificate may', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const bearer = (token: unknown) => ({ headers: { authorization: `Bearer ${token}` } });
  for (const headers of [{}, STRAY, { authorization: 'Bearer x' }]) {
    const token = await tokenFor(node, headers);
    assert.equal(decodeJwt(String(token)).sub, 'cert:node-7');
    assert.equal(await statusOf(undefined, bearer(token)), 200);
  }
  // The identity token of a Hub login, which a classic dockerd sends to its mirror too.
  const stray = { grant_type: 'refresh_token', refresh_token: 'of-the-hub' };
  assert.equal((await postToken(node, { ...stray, scope: SCOPE })).sub, 'cert:node-7');
  assert.equal((await postToken(node, stray)).status, 401);
  const own = await tokenFor(node, { authorization: basic('ana', PASSWORD) });
  assert.equal(decodeJwt(String(own)).sub, 'user:ana');
  const token = await tokenFor(node);
  await revoke(node);
  assert.ok((await untilTrue(async () => (await statusOf(undefined, bearer(token))) === 401)) < 1_000);
  assert.equal(decodeJwt(String(await tokenFor(node))).sub, 'anonymous');
  assert.equal(await tokenFor(node, STRAY), 401);
});

test('a gateway’s word is taken for certificates alone, and such a credential for no other subject', async () => {
  await using auth = openAuthClient(hubgate.paths.authSocket);
  const asked = {
    login: null,
    refreshToken: null,
    offline: null,
    scopes: [SCOPE],
    address: '127.0.0.1' as ClientAddress,
  };
  const named = (kind: 'cert' | 'user', name: string) => {
    const certificate = { subject: { kind, name }, credential: 'crt_0' };
    return auth.token({ ...asked, certificate }, { share: '127.0.0.1', signal: undefined });
  };
  const given = await named('cert', 'node-7');
  assert.ok('token' in given);
  await assert.rejects(named('user', 'ana'));
  const key = createPrivateKey(await readFile(hubgate.paths.signingKey));
  const { kid = '' } = decodeProtectedHeader(given.token);
  const header = { alg: 'ES256', typ: 'JWT', kid };
  const access = [{ type: 'repository', name: 'docker.io/library/busybox', actions: ['pull'] }];
  const claims = { ...decodeJwt(given.token), sub: 'user:ana', access };
  const token = await new SignJWT(claims).setProtectedHeader(header).sign(key);
  assert.equal((await hubgate.ask('/v2/library/busybox/manifests/latest', { token })).status, 401);
});

test('a login without a scope is judged by what it says, certificate or not', async () => {
  const node = await hubgate.issueCertificate('node-7');
  const login = (headers: Record<string, string>) => statusOf(node, { path: '/token?service=x', headers });
  assert.equal(await login(STRAY), 401);
  assert.equal(await login({ authorization: basic('ana', 'wrong') }), 401);
  assert.equal(await login({ authorization: basic('ana', PASSWORD) }), 200);
});

test('no session is resumed: a client that offers one, with its certificate or without, gets a full handshake', async () => {
  const node = await hubgate.issueCertificate('node-7');
  /** A request over a connection of its own, and the sessions that it was given. */
  const meet = async (options: ConnectionOptions) => {
    const common = { port: hubgate.port, host: '127.0.0.1', servername: 'localhost', ca: hubgate.ca };
    const socket = connect({ ...common, ...options });
    const sessions: Buffer[] = [];
    socket.on('session', (session) => sessions.push(session));
    await once(socket, 'secureConnect');
    const reused = socket.isSessionReused();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
    socket.write(`GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    const session = socket.getSession();
    await once(socket, 'close');
    const status = Number(Buffer.concat(chunks).toString('latin1').slice(9, 12));
    return { reused, status, session: sessions[0] ?? session };
  };
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const bare = { minVersion: version, maxVersion: version };
    const first = await meet({ ...bare, ...node });
    assert.equal(first.status, 200);
    for (const [pair, status] of [
      [node, 200],
      [{}, 401],
    ] as const) {
      const again = await meet({ ...bare, ...pair, ...(first.session && { session: first.session }) });
      assert.deepEqual([again.reused, again.status], [false, status], version);
    }
  }
});
