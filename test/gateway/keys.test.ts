import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFile, utimes } from 'node:fs/promises';
import { after, test } from 'node:test';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import { previousKeyFile } from '../../src/auth/token/signing-key-file.ts';
import { TOKEN_GRACE } from '../../src/protocol/auth-api.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

/** In milliseconds: the longest life of a token, its grace, and how far clocks may differ. */
const OVERLAP = 360_000 + TOKEN_GRACE;
const ALPINE = '/v2/library/alpine/manifests/latest';

const { hubgate } = await withMirror(
  { after },
  { policy: 'allow: [{ pull: everything, to: authenticated }]', images: { 'library/alpine': imageOf() } },
);

async function published() {
  const { status, body } = await hubgate.ask('/.well-known/jwks.json');
  assert.equal(status, 200);
  return JSON.parse(body.toString());
}

test('the public keys are published, and nothing of the private ones', async () => {
  const { keys } = await published();
  assert.deepEqual(Object.keys(keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  const token = await hubgate.token('ana', 'library/alpine');
  await jwtVerify(token, createLocalJWKSet({ keys }), { algorithms: ['ES256'] });
});

test('after a rotation new tokens are of the new key, and those that are out stay good to their end', async () => {
  const old = await hubgate.token('ana', 'library/alpine');
  const { kid } = decodeProtectedHeader(old);
  await hubgate.rotateKeys();
  await waitFor(async () => (await published()).keys.length === 2);
  const renewed = await hubgate.token('ana', 'library/alpine');
  assert.notEqual(decodeProtectedHeader(renewed).kid, kid);
  for (const token of [old, renewed]) assert.equal((await hubgate.ask(ALPINE, { token })).status, 200);
  // A gateway that starts now has never seen the key of before.
  const port = await hubgate.addGateway();
  const headers = { authorization: `Bearer ${old}` };
  assert.equal((await hubgate.send({ path: ALPINE, port, headers })).status, 200);
  // Its time is over: who knows it may sign what they like.
  const previous = previousKeyFile(hubgate.paths.signingKey);
  await utimes(previous, new Date(), new Date(Date.now() - OVERLAP - 1000));
  await waitFor(async () => (await published()).keys.length === 1);
  const key = createPrivateKey(await readFile(previous));
  const forged = await new SignJWT(decodeJwt(old))
    .setProtectedHeader(decodeProtectedHeader(old) as { alg: string })
    .sign(key);
  assert.notEqual(forged, old);
  await waitFor(async () => (await hubgate.ask(ALPINE, { token: forged })).status === 401);
});
