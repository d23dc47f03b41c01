import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { createVerifyToken } from '../../src/gateway/authentication/bearer-token.ts';
import { openAuthClient } from '../../src/gateway/clients/auth-client.ts';
import { serveOnSocket } from '../../src/platform/ipc/unix-socket.ts';
import { QUIET } from '../support/test-core.ts';

test('key ids that nobody knows do not make a gateway ask auth for each of them', async (t) => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-keys-'));
  t.after(() => rm(directory, { recursive: true }));
  const socket = path.join(directory, 'auth.sock');
  const asked: string[] = [];
  const auth = await serveOnSocket(socket, (request, response) => {
    // Whoever waits is told of no change.
    if (request.url?.endsWith('?wait')) return;
    asked.push(request.url ?? '');
    response.setHeader('etag', '"none"').end(JSON.stringify({ keys: [] }));
  });
  stack.use(auth);
  assert.equal((await stat(socket)).mode & 0o777, 0o660);
  const client = stack.use(openAuthClient(socket));
  let now = Date.now();
  const options = { auth: client, log: QUIET, issuer: 'i', audience: 'a', clock: () => now };
  const verify = stack.use(await createVerifyToken(options));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const forged = (kid: string) =>
    new SignJWT({}).setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid }).sign(privateKey);
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => forged(`k${index}`)));
  await Promise.all(tokens.slice(0, 10).map((token) => verify(token)));
  for (const token of tokens.slice(10)) assert.equal(await verify(token), undefined);
  assert.deepEqual(asked, ['/keys', '/keys']);
  now += 3_001;
  await verify(await forged('later'));
  assert.equal(asked.length, 3);
});

test('a token that was verified once is refused when it has expired', async (t) => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = {
    keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }],
  };
  const issued = Date.now();
  let now = issued;
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-keys-'));
  t.after(() => rm(directory, { recursive: true }));
  const socket = path.join(directory, 'auth.sock');
  const auth = await serveOnSocket(socket, (request, response) => {
    if (request.url?.endsWith('?wait')) return;
    response.setHeader('etag', '"1"').end(JSON.stringify(keys));
  });
  stack.use(auth);
  const client = stack.use(openAuthClient(socket));
  const options = { auth: client, log: QUIET, issuer: 'i', audience: 'a', clock: () => now };
  const verify = stack.use(await createVerifyToken(options));
  const seconds = Math.floor(issued / 1000);
  const token = await new SignJWT({ sub: 'user:ana', cred: 'c', access: [], jti: 'j' })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: 'k' })
    .setIssuer('i')
    .setAudience('a')
    .setIssuedAt(seconds)
    .setNotBefore(seconds)
    .setExpirationTime(seconds + 120)
    .sign(pair.privateKey);
  assert.notEqual(await verify(token), undefined);
  now = issued + 119_000;
  assert.notEqual(await verify(token), undefined);
  // The gateway's clock may differ from auth's by a minute.
  now = issued + 182_000;
  assert.equal(await verify(token), undefined);
});
