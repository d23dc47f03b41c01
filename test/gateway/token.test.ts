import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `
allow:
  - { pull: [library/**, "ghcr.io/acme/tool"], to: authenticated }
  - { pull: library/alpine, to: anonymous, from: ["127.0.0.0/8", "::1"] }
`;

const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    configuration: ({ url }) => ({ upstreams: { 'ghcr.io': { url } } }),
    images: { 'library/alpine': imageOf() },
  },
);

function form(parameters: Record<string, string>, headers: Record<string, string> = {}) {
  return hubgate.send({
    path: '/token',
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    send: new URLSearchParams(parameters).toString(),
  });
}

const SCOPE = 'repository:library/alpine:pull';

test('GET with Basic, as docker and podman ask', async () => {
  const target = `/token?account=ana&client_id=docker&offline_token=true&service=x&scope=${encodeURIComponent(SCOPE)}`;
  const { status, headers, body } = await hubgate.ask(target, { user: 'ana' });
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json');
  const answer = JSON.parse(body.toString());
  assert.deepEqual(Object.keys(answer).sort(), ['access_token', 'expires_in', 'scope', 'token']);
  assert.equal(answer.token, answer.access_token);
  assert.equal(answer.expires_in, 300);
  assert.equal(answer.scope, SCOPE);
});

test('POST with a form, as containerd and BuildKit ask; a header counts before it', async () => {
  const password = { grant_type: 'password', client_id: 'containerd-client', scope: SCOPE };
  const posted = await form({ ...password, username: 'ana', password: PASSWORD });
  assert.equal(posted.status, 200);
  assert.equal(JSON.parse(posted.body.toString()).scope, SCOPE);
  const header = { authorization: basic('ana', PASSWORD) };
  assert.equal((await form({ ...password, username: 'x', password: 'y' }, header)).status, 200);
  assert.equal((await form({ ...password, username: 'ana', password: 'wrong', scope: '' })).status, 401);
  const foreign = { grant_type: 'refresh_token', refresh_token: 'x' };
  assert.equal((await form(foreign)).status, 401);
  assert.equal((await form({ ...foreign, scope: 'repository:library/nginx:pull' })).status, 401);
  // A daemon shows its mirror what the Hub gave it: where the network is granted something, that is taken for
  // nothing.
  assert.equal((await form({ ...foreign, scope: SCOPE })).status, 200);
  assert.equal((await form({ grant_type: 'refresh_token', scope: SCOPE })).status, 400);
  assert.equal((await form({ grant_type: 'password', username: 'ana' })).status, 400);
  assert.equal((await form({ grant_type: 'password', padding: 'x'.repeat(70_000) })).status, 400);
});

test('a login is a request without a scope: right credentials are taken, wrong ones refused without a challenge', async () => {
  assert.equal((await hubgate.ask('/token?service=x', { user: 'ana' })).status, 200);
  for (const caller of [
    { user: 'ana', password: 'wrong' },
    { user: 'nobody' },
    { user: 'constructor' },
    { user: '__proto__' },
    { user: 'ana', password: '' },
    { user: 'ana', password: 'x'.repeat(2000) },
  ]) {
    const refused = await hubgate.ask('/token?service=x', caller);
    assert.equal(refused.status, 401, caller.user);
    assert.equal(refused.headers['www-authenticate'], undefined);
    assert.equal(JSON.parse(refused.body.toString()).errors[0].message, 'incorrect username or password');
  }
  const malformed = await hubgate.send({ path: '/token', headers: { authorization: 'Basic !' } });
  assert.equal(malformed.status, 401);
});

test('the token has all claims, and is granted what was asked ∩ what the policy gives', async () => {
  const scopes = [
    'repository:library/alpine:pull,push',
    'repository:docker.io/library/busybox:*',
    'repository:ghcr.io/acme/tool:pull',
    'repository:acme/secret:pull',
    'repository:library/alpine:push',
    'repository(plugin):library/alpine:pull',
    'registry:catalog:*',
    'repository:quay.io/a/b:pull',
    'repository:library/../acme/secret:pull',
    'nonsense',
    '::',
  ];
  const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
  const { body } = await hubgate.ask(`/token?${query}`, { user: 'ana' });
  const { token, scope } = JSON.parse(body.toString());
  assert.equal(
    scope,
    'repository:library/alpine:pull repository:docker.io/library/busybox:pull repository:ghcr.io/acme/tool:pull',
  );
  const claims = decodeJwt(token);
  assert.deepEqual(claims.access, [
    { type: 'repository', name: 'docker.io/library/alpine', actions: ['pull'] },
    { type: 'repository', name: 'docker.io/library/busybox', actions: ['pull'] },
    { type: 'repository', name: 'ghcr.io/acme/tool', actions: ['pull'] },
  ]);
  assert.equal(claims.iss, `https://localhost:${hubgate.port}`);
  assert.equal(claims.aud, `localhost:${hubgate.port}`);
  assert.equal(claims.sub, 'user:ana');
  assert.equal((claims.exp ?? 0) - (claims.iat ?? 0), 300);
  assert.equal(claims.nbf, claims.iat);
  for (const claim of ['jti', 'cred']) assert.equal(typeof claims[claim], 'string');
  const { alg, kid, typ } = decodeProtectedHeader(token);
  assert.deepEqual([alg, typ, typeof kid], ['ES256', 'JWT', 'string']);
});

test('nobody gets a token too, for what anonymous may pull from there', async () => {
  const { body } = await hubgate.ask(`/token?scope=${SCOPE}%20repository:library/busybox:pull`);
  const { token, scope } = JSON.parse(body.toString());
  assert.equal(scope, SCOPE);
  assert.equal(decodeJwt(token).sub, 'anonymous');
  assert.equal((await hubgate.ask('/v2/library/alpine/manifests/latest', { token })).status, 200);
  assert.equal((await hubgate.ask('/v2/library/busybox/manifests/latest', { token })).status, 401);
});

test('a Docker Hub login, which a classic dockerd sends to its mirror, is ignored where the network grants something', async () => {
  const stray = { user: 'somebody-at-the-hub', password: 'their-hub-password' };
  const granted = await hubgate.ask(`/token?scope=${SCOPE}`, stray);
  assert.equal(granted.status, 200);
  assert.equal(decodeJwt(JSON.parse(granted.body.toString()).token).sub, 'anonymous');
  assert.equal((await hubgate.ask('/token?scope=repository:library/busybox:pull', stray)).status, 401);
});

test('the realm is that of the configuration, whatever Host says', async () => {
  const { headers } = await hubgate.send({
    path: '/v2/',
    headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example' },
  });
  assert.match(
    headers['www-authenticate'] ?? '',
    new RegExp(`^Bearer realm="https://localhost:${hubgate.port}/token"`),
  );
});

test('a token of another issuer, audience, algorithm or age is none', async (t) => {
  const { hubgate: other } = await withMirror(t, { policy: POLICY, hub });
  const foreign = await other.token('ana', 'library/alpine');
  const target = '/v2/library/alpine/manifests/latest';
  assert.equal((await hubgate.ask(target, { token: foreign })).status, 401);
  const [, payload, signature] = foreign.split('.');
  for (const header of [{ alg: 'none' }, { alg: 'HS256' }, { alg: 'ES256', typ: 'JWT', jwk: {} }]) {
    const token = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}.${signature}`;
    assert.equal((await hubgate.ask(target, { token })).status, 401, header.alg);
  }
  const token = await hubgate.token('ana', 'library/alpine');
  hubgate.ahead = 355_000;
  assert.equal((await hubgate.ask(target, { token })).status, 200);
  hubgate.ahead = 365_000;
  assert.equal((await hubgate.ask(target, { token })).status, 401);
  hubgate.ahead = 0;
});

test('a token that was issued while the clock was ahead counts for nothing once the clock is right', async () => {
  const target = '/v2/library/alpine/manifests/latest';
  hubgate.ahead = 3 * 60 * 60_000;
  const early = await hubgate.token('ana', 'library/alpine');
  // The gateway has verified it, and remembers it.
  assert.equal((await hubgate.ask(target, { token: early })).status, 200);
  hubgate.ahead = 0;
  assert.equal((await hubgate.ask(target, { token: early })).status, 401);
  const token = await hubgate.token('ana', 'library/alpine');
  assert.equal((await hubgate.ask(target, { token })).status, 200);
  hubgate.ahead = -30_000;
  assert.equal((await hubgate.ask(target, { token })).status, 200);
  hubgate.ahead = 0;
});

test('a token of our own key is taken only if every claim is as we write it', async () => {
  const key = createPrivateKey(await readFile(hubgate.paths.signingKey));
  const issued = await hubgate.token('ana', 'library/alpine');
  const header = decodeProtectedHeader(issued);
  const claims = decodeJwt(issued);
  const now = Math.floor(Date.now() / 1000);
  const statusOf = async (changed: object, changedHeader: object = {}) => {
    const protectedHeader = { ...header, alg: 'ES256', ...changedHeader };
    const signed = new SignJWT({ ...claims, ...changed }).setProtectedHeader(protectedHeader);
    const token = await signed.sign(key);
    return (await hubgate.ask('/v2/library/alpine/manifests/latest', { token })).status;
  };
  assert.equal(await statusOf({}), 200);
  const wrong: readonly [changed: object, header?: object][] = [
    [{ iss: 'https://localhost' }],
    [{ iss: undefined }],
    [{ aud: 'localhost' }],
    [{ aud: undefined }],
    [{ exp: now - 61 }],
    [{ exp: undefined }],
    [{ iat: now - 361, exp: now + 3_600 }],
    [{ iat: undefined }],
    [{ nbf: now + 120 }],
    [{ nbf: undefined }],
    [{ jti: undefined }],
    [{ sub: 'user:jin' }],
    [{ sub: 'root' }],
    [{ cred: 'pw_00000000000000000000' }],
    [{ access: undefined }],
    [{ access: [{ type: 'repository', name: 'docker.io/library/alpine', actions: ['push'] }] }],
    [{}, { typ: 'at+jwt' }],
    [{}, { kid: 'another' }],
  ];
  for (const [changed, changedHeader] of wrong) {
    assert.equal(await statusOf(changed, changedHeader), 401, JSON.stringify([changed, changedHeader]));
  }
});

test('a form is read to a bound', async () => {
  const long = form({ grant_type: 'password', username: 'ana', password: 'x'.repeat(100_000) });
  assert.equal((await long).status, 400);
});

test('a token is verified by ES256 alone, though the public key could be taken for the secret of another algorithm', async () => {
  const issued = await hubgate.token('ana', 'library/alpine');
  const publicKey = createPublicKey(await readFile(hubgate.paths.signingKey));
  const secret = Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }));
  const { kid } = decodeProtectedHeader(issued);
  const token = await new SignJWT(decodeJwt(issued))
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT', ...(kid && { kid }) })
    .sign(secret);
  assert.equal((await hubgate.ask('/v2/library/alpine/manifests/latest', { token })).status, 401);
});

test('invariant 14: the audit log names who got a token, and no password, token or mistyped name', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  await hubgate.ask('/token', { user: 'my-secret-typed-as-a-name', password: 'x' });
  await waitFor(async () => (await hubgate.audit()).at(-1)?.status === 401);
  const lines = await hubgate.audit();
  assert.ok(
    lines.some(
      ({ action, subject, scope }) => action === 'token' && subject === 'user:ana' && scope === SCOPE,
    ),
  );
  const text = JSON.stringify(lines);
  for (const secret of [PASSWORD, token, 'my-secret-typed', 'their-hub-password', ACCOUNT.password]) {
    assert.ok(!text.includes(secret), secret);
  }
});
