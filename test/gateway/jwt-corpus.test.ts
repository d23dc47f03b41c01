import assert from 'node:assert/strict';
import {
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  randomInt,
  sign as signBytes,
} from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exportJWK, type JWTHeaderParameters, SignJWT } from 'jose';
import {
  createVerifyToken,
  type VerifiedToken,
  type VerifyToken,
} from '../../src/gateway/authentication/bearer-token.ts';
import { openAuthClient } from '../../src/gateway/clients/auth-client.ts';
import { serveOnSocket } from '../../src/platform/ipc/unix-socket.ts';
import { QUIET } from '../support/test-core.ts';

const ISSUER = 'https://mirror.corp';
const AUDIENCE = 'mirror.corp';
const NOW = Math.floor(Date.parse('2026-11-22T12:00:00Z') / 1000);
const KID = 'the-key';
const CLAIMS = {
  ...{ iss: ISSUER, aud: AUDIENCE, sub: 'user:ana', jti: 'one', cred: 'pw_1' },
  ...{ iat: NOW, nbf: NOW, exp: NOW + 300 },
  access: [{ type: 'repository', name: 'docker.io/library/alpine', actions: ['pull'] }],
};
const HEADER = { alg: 'ES256', typ: 'JWT', kid: KID };

const ours = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stack = new AsyncDisposableStack();
let verify: VerifyToken;

before(async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-jwt-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const socket = path.join(directory, 'auth.sock');
  const keys = [{ ...(await exportJWK(ours.publicKey)), kid: KID, alg: 'ES256', use: 'sig' }];
  const auth = await serveOnSocket(socket, (request, response) => {
    if (!request.url?.endsWith('?wait')) response.setHeader('etag', '"1"').end(JSON.stringify({ keys }));
  });
  stack.use(auth);
  const client = stack.use(openAuthClient(socket));
  const options = { auth: client, log: QUIET, issuer: ISSUER, audience: AUDIENCE, clock: () => NOW * 1000 };
  verify = stack.use(await createVerifyToken(options));
});

after(() => stack.disposeAsync());

function sign(claims: object = {}, header: object = {}, key: KeyObject = ours.privateKey): Promise<string> {
  const content = Object.fromEntries(
    Object.entries({ ...CLAIMS, ...claims }).filter(([, value]) => value !== undefined),
  );
  return new SignJWT(content).setProtectedHeader({ ...HEADER, ...header } as JWTHeaderParameters).sign(key);
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** By our key, and without a library that would not. */
function signPlainly(header: object): string {
  const content = `${encode(header)}.${encode(CLAIMS)}`;
  const signature = signBytes('sha256', Buffer.from(content), {
    key: ours.privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${content}.${signature.toString('base64url')}`;
}

/** Signed by HMAC, with whatever somebody might take for its secret. */
function hmac(secret: string | Buffer): string {
  const content = `${encode({ ...HEADER, alg: 'HS256' })}.${encode(CLAIMS)}`;
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
}

test('a token of ours is one', async () => {
  const claims = await verify(await sign());
  assert.deepEqual(claims?.subject, { kind: 'user', name: 'ana' });
  assert.ok(await verify(signPlainly(HEADER)));
  assert.deepEqual(claims?.repositories, new Map([['docker.io/library/alpine', new Set(['pull'])]]));
});

test('what only looks like one is none', async () => {
  const good = await sign();
  const [, payload = '', signature = ''] = good.split('.');
  const pem = ours.publicKey.export({ type: 'spki', format: 'pem' });
  const jwk = await exportJWK(theirs.publicKey);
  const corpus: Record<string, string> = {
    'alg none': `${encode({ ...HEADER, alg: 'none' })}.${payload}.`,
    'alg None': `${encode({ ...HEADER, alg: 'None' })}.${payload}.${signature}`,
    'alg none with our signature': `${encode({ ...HEADER, alg: 'none' })}.${payload}.${signature}`,
    'no signature': `${good.slice(0, good.lastIndexOf('.'))}.`,
    'HS256 with the public key as PEM': hmac(pem),
    'HS256 with the public key as DER': hmac(ours.publicKey.export({ type: 'spki', format: 'der' })),
    'HS256 with nothing': hmac(''),
    'another key under our kid': await sign({}, {}, theirs.privateKey),
    'an embedded jwk': await sign({}, { jwk }, theirs.privateKey),
    'an embedded jwk without kid': await sign({}, { jwk, kid: undefined }, theirs.privateKey),
    'a jku': await sign({}, { jku: 'https://evil.test/jwks', kid: 'x' }, theirs.privateKey),
    'an x5u': await sign({}, { x5u: 'https://evil.test/x', kid: 'x' }, theirs.privateKey),
    'another kid': await sign({}, { kid: 'other' }),
    'a kid that is a path': await sign({}, { kid: '../../dev/null' }),
    'another typ': await sign({}, { typ: 'at+jwt' }),
    'no typ': await sign({}, { typ: undefined }),
    'a critical header that nobody knows': signPlainly({ ...HEADER, crit: ['x'], x: 1 }),
    'another issuer': await sign({ iss: 'https://mirror.corp.evil.test' }),
    'another audience': await sign({ aud: 'other.corp' }),
    'no exp': await sign({ exp: undefined }),
    'no nbf': await sign({ nbf: undefined }),
    'no iat': await sign({ iat: undefined }),
    'no jti': await sign({ jti: undefined }),
    'no sub': await sign({ sub: undefined }),
    'no cred': await sign({ cred: undefined }),
    'no access': await sign({ access: undefined }),
    expired: await sign({ exp: NOW - 61, iat: NOW - 300, nbf: NOW - 300 }),
    'of the future': await sign({ iat: NOW + 120, nbf: NOW + 120, exp: NOW + 300 }),
    'issued in the future': await sign({ iat: NOW + 120 }),
    'issued too long ago': await sign({ iat: NOW - 400, nbf: NOW - 400 }),
    'a subject that is none': await sign({ sub: 'root' }),
    'an exp that is a text': await sign({ exp: String(NOW + 300) }),
    'an access that is a text': await sign({ access: 'all' }),
    'larger than any': await sign({ padding: 'x'.repeat(9000) }),
    empty: '',
    dots: '..',
    'five parts': `${good}.${payload}.${signature}`,
  };
  for (const [what, token] of Object.entries(corpus)) assert.equal(await verify(token), undefined, what);
});

test('8,000 mutations: none is accepted that says anything else', async () => {
  const good = await sign();
  const expected = claimsOf(await verify(good));
  const other = await sign({ sub: 'user:jin', jti: 'two' });
  const mutate = mutationsOf(good, other);
  let accepted = 0;
  for (let count = 0; count < 8_000; count++) {
    const token = mutate();
    if (token === good || token === other) continue;
    const claims = await verify(token);
    if (claims === undefined) continue;
    accepted++;
    const said = claimsOf(claims);
    assert.ok(said === expected || said === expected.replace('ana', 'jin'), token);
  }
  // A signature can be written in several ways: that is why nothing is remembered by a token's claims.
  assert.ok(accepted < 800, `${accepted} were accepted`);
});

function claimsOf(claims: VerifiedToken | undefined): string {
  const granted = [...(claims?.repositories ?? [])].map(([name, actions]) => [name, [...actions]]);
  return JSON.stringify({ ...claims, repositories: granted });
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n';

function mutationsOf(good: string, other: string): () => string {
  const parts = good.split('.');
  const others = other.split('.');
  const replace = (text: string) => {
    const at = randomInt(text.length);
    return text.slice(0, at) + ALPHABET[randomInt(ALPHABET.length)] + text.slice(at + 1);
  };
  const withPart = (index: number, part: string) =>
    parts.map((old, at) => (at === index ? part : old)).join('.');
  const kinds = [
    () => replace(good),
    () => replace(replace(replace(good))),
    () => good.slice(0, randomInt(good.length)),
    () => parts.map((part, index) => (randomInt(2) === 0 ? part : (others[index] ?? part))).join('.'),
    () => withPart(2, randomBytes(64).toString('base64url')),
    () => withPart(1, encode({ ...CLAIMS, sub: `user:${randomBytes(4).toString('hex')}` })),
    () => withPart(0, encode({ ...HEADER, [randomBytes(2).toString('hex')]: randomInt(10) })),
    () => good + ALPHABET[randomInt(ALPHABET.length)],
  ];
  return () => kinds[randomInt(kinds.length)]?.() ?? good;
}
