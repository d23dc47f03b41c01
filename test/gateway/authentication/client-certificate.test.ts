import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type ConnectionOptions, connect, createServer, type TLSSocket } from 'node:tls';
import { formatSubject } from '../../../src/access/subject.ts';
import { createIdentifyByCertificate } from '../../../src/gateway/authentication/client-certificate.ts';
import { MutableValue } from '../../../src/platform/observable-value.ts';
import { tbsHash } from '../../../src/platform/tbs-hash.ts';
import { makeAuthority, rsaKey, type TestLeaf } from '../../support/certificates.ts';

const HOUR = 60 * 60 * 1000;
const CORP = makeAuthority('corporate CA');
const OTHER = makeAuthority('corporate CA');

const authorities = new MutableValue([new X509Certificate(CORP.cert)]);
let now = Date.now();
const revoked = new Set<string>();
const identify = createIdentifyByCertificate({
  authorities,
  credentials: { isRevoked: (hash) => revoked.has(hash) },
  clock: () => now,
});

/** A connection of which OpenSSL says what is wanted: here the rest is judged. */
function connectionWith(certificate: X509Certificate | undefined, authorized = true) {
  return { authorized, getPeerX509Certificate: () => certificate };
}

function issued(leaf: Partial<TestLeaf>, authority = CORP): X509Certificate {
  return new X509Certificate(authority.issue({ commonName: 'node-7', ...leaf }).cert);
}

function subjectOf(certificate: X509Certificate | undefined, authorized?: boolean): string | undefined {
  const identity = identify(connectionWith(certificate, authorized));
  return identity && formatSubject(identity.subject);
}

test('a certificate counts if it is a client’s, of an authority, and in its time; each of these is asked', () => {
  const good = issued({});
  assert.equal(subjectOf(good), 'cert:node-7');
  assert.equal(identify(connectionWith(good))?.credential, `crt_${tbsHash(good).slice(0, 20)}`);
  assert.equal(subjectOf(undefined), undefined, 'none, on a resumed connection that is authorized');
  assert.equal(subjectOf(good, false), undefined, 'refused by OpenSSL');
  assert.equal(subjectOf(issued({}, OTHER)), undefined, 'an authority of the same name');
  assert.equal(subjectOf(issued({ usage: { serverAuth: true } })), undefined, 'a server’s');
  assert.equal(subjectOf(issued({ usage: null })), undefined, 'one for no use');
  assert.equal(subjectOf(issued({ cA: true })), undefined, 'an authority’s');
  assert.equal(subjectOf(issued({ to: new Date(now - HOUR) })), undefined, 'one that has ended');
  assert.equal(subjectOf(issued({ from: new Date(now + HOUR) })), undefined, 'one that has not begun');
});

test('time, revocation and authorities are those of the request, not of the connection’s beginning', () => {
  const certificate = issued({ to: new Date(now + HOUR) });
  const connection = connectionWith(certificate);
  assert.ok(identify(connection));
  now += 2 * HOUR;
  assert.equal(identify(connection), undefined);
  now -= 2 * HOUR;
  assert.ok(identify(connection));
  revoked.add(tbsHash(certificate));
  assert.equal(identify(connection), undefined);
  revoked.clear();
  authorities.set([new X509Certificate(OTHER.cert)]);
  assert.equal(identify(connection), undefined);
  authorities.set([new X509Certificate(OTHER.cert), new X509Certificate(CORP.cert)]);
  assert.ok(identify(connection));
});

test('an authority counts in its time, and its renewed certificate goes on for it', () => {
  const key = rsaKey();
  const old = makeAuthority('old CA', { key, to: new Date(now - HOUR) });
  const renewed = makeAuthority('old CA', { key });
  const certificate = issued({}, old);
  authorities.set([new X509Certificate(old.cert)]);
  assert.equal(subjectOf(certificate), undefined);
  authorities.set([new X509Certificate(old.cert), new X509Certificate(renewed.cert)]);
  assert.equal(subjectOf(certificate), 'cert:node-7');
  authorities.set([new X509Certificate(CORP.cert)]);
});

test('a SPIFFE URI is the subject, and a common name only where there is none', () => {
  const uri = (value: string) => ({ altNames: [{ type: 6, value }] });
  const spiffe = 'spiffe://corp.example/ns/prod/sa/web';
  assert.equal(subjectOf(issued(uri(spiffe))), `cert:${spiffe}`);
  assert.equal(subjectOf(issued(uri('https://corp.example'))), 'cert:node-7');
  const withDns = [
    { type: 2, value: 'node-7.corp' },
    { type: 6, value: spiffe },
  ];
  assert.equal(subjectOf(issued({ altNames: withDns })), `cert:${spiffe}`);
  const wrong = [
    '',
    'corp',
    'Corp/a',
    'corp/',
    'corp//a',
    'corp/../a',
    'corp/a/.',
    'corp/a?b',
    'corp:1/a',
    'u@c/a',
    'c/*',
  ];
  for (const rest of wrong) assert.equal(subjectOf(issued(uri(`spiffe://${rest}`))), undefined, rest);
  const hidden = [{ type: 2, value: 'x, URI:spiffe://corp.example/admin, y' }];
  assert.equal(subjectOf(issued({ altNames: hidden })), 'cert:node-7');
});

test('a certificate with a SPIFFE URI and another URI names nobody', () => {
  const uris = (...values: string[]) => ({ altNames: values.map((value) => ({ type: 6, value })) });
  const spiffe = 'spiffe://corp.example/ns/prod/sa/web';
  const wrong = [
    [spiffe, 'spiffe://b/c'],
    [spiffe, spiffe],
    [spiffe, 'https://corp.example'],
    ['https://corp.example', spiffe],
    [spiffe, 'SPIFFE://b/c'],
    ['SPIFFE://corp.example/admin'],
    ['spiffe://corp.example/a,b'],
  ];
  for (const values of wrong) assert.equal(subjectOf(issued(uris(...values))), undefined, values.join());
  assert.equal(subjectOf(issued(uris('https://a.example', 'https://b.example'))), 'cert:node-7');
});

test('a common name that is none of a host names nobody', () => {
  for (const commonName of ['node-7', 'N.o_d-e', 'x'.repeat(64)])
    assert.equal(subjectOf(issued({ commonName })), `cert:${commonName}`);
  const wrong = [
    '',
    'a b',
    '*',
    'a/b',
    'cert:a',
    '-a',
    'x'.repeat(65),
    'a\nCN=b',
    'spiffe://a/b',
    'ä',
    'a + O=b',
  ];
  for (const commonName of wrong) assert.equal(subjectOf(issued({ commonName })), undefined, commonName);
  assert.equal(subjectOf(issued({ commonName: 'a', otherName: 'b' })), undefined);
});

test('a resumed connection without a certificate names nobody, and one whose certificate is revoked neither', async (t) => {
  const pair = CORP.issue({ commonName: 'node-7' });
  const server = createServer({
    ...CORP.issue({ commonName: 'localhost', usage: { serverAuth: true } }),
    ca: CORP.cert,
    requestCert: true,
    rejectUnauthorized: false,
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const meet = async (options: ConnectionOptions) => {
    const accepted = once(server, 'secureConnection');
    const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    const sessions: Buffer[] = [];
    client.on('session', (session) => sessions.push(session));
    const [socket] = (await accepted) as [TLSSocket];
    const identity = identify(socket);
    socket.end('x');
    client.resume();
    await once(client, 'end');
    const reused = client.isSessionReused();
    client.destroy();
    return { identity, reused, session: sessions[0] };
  };
  const bare = { minVersion: 'TLSv1.3' } as const;
  const resumed = await meet({ ...bare, session: (await meet(bare)).session });
  assert.deepEqual([resumed.reused, resumed.identity], [true, undefined]);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const known = { minVersion: version, maxVersion: version, ...pair };
    const { session, identity } = await meet(known);
    assert.ok(identity);
    assert.equal((await meet({ ...known, session })).reused, true);
    revoked.add(tbsHash(new X509Certificate(pair.cert)));
    const later = await meet({ ...known, session });
    assert.deepEqual([later.reused, later.identity], [true, undefined]);
    revoked.clear();
  }
});
