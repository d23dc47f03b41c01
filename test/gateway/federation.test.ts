import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { decodeJwt } from 'jose';
import { type Claims, FakeIssuer } from '../support/fake-issuer.ts';
import { imageOf } from '../support/image.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `
allow:
  - { pull: acme/base, to: ["oidc:github:acme/payments@refs/heads/main", "oidc:github:acme/**@refs/heads/main"], private: true }
  - { pull: library/alpine, to: anonymous }
`;
const BASE = '/v2/acme/base/manifests/latest';
const SCOPE = 'repository:acme/base:pull';
const MAIN = { repository: 'acme/payments', ref: 'refs/heads/main' };

let issuer: FakeIssuer;
let hubgate: TestHubgate;

beforeEach(async (t) => {
  issuer = await FakeIssuer.start();
  ({ hubgate } = await withMirror(t, {
    policy: POLICY,
    configuration: issuedFor('mirror.corp'),
    images: { 'library/alpine': imageOf() },
    privateImages: { 'acme/base': imageOf(), 'acme/other': imageOf() },
  }));
});

const issuedFor = (audience: string) => ({
  federation: { github: { issuer: issuer.url, audience, subject: '${repository}@${ref}' } },
});

afterEach(() => issuer[Symbol.asyncDispose]());

const byJwt = async (claims: Claims = {}) => ({
  user: 'oidc',
  password: await issuer.sign({ ...MAIN, ...claims }),
});

async function answerTo(caller: { user: string; password: string }, scope = SCOPE) {
  const { status, body } = await hubgate.ask(`/token?scope=${scope}`, caller);
  return { status, ...JSON.parse(body.toString()) };
}

test('a workflow pulls what the policy allows its branch, by a token or by the JWT itself', async () => {
  const caller = await byJwt();
  const { status, token, scope } = await answerTo(caller);
  assert.deepEqual([status, scope], [200, SCOPE]);
  const { sub, cred } = decodeJwt<{ cred: string }>(token);
  assert.equal(sub, 'oidc:github:acme/payments@refs/heads/main');
  assert.match(cred, /^oidc_github_/);
  assert.equal((await hubgate.ask(BASE, { token })).status, 200);
  assert.equal((await hubgate.ask(BASE, caller)).status, 200);
  assert.equal((await hubgate.ask('/v2/acme/other/manifests/latest', caller)).status, 403);
  const form = { grant_type: 'password', username: 'oidc', password: caller.password, scope: SCOPE };
  const posted = await hubgate.send({
    path: '/token',
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    send: new URLSearchParams(form).toString(),
  });
  assert.equal(JSON.parse(posted.body.toString()).scope, SCOPE);
  // All of that asked the issuer once, for its discovery and for its keys.
  assert.equal(issuer.asked.length, 2);
});

test('invariant 1: another branch, another repository and a claim with a wildcard pull nothing of it', async () => {
  for (const claims of [
    { ref: 'refs/heads/topic' },
    { ref: 'refs/tags/main' },
    { repository: 'evil/payments' },
    { ref: 'refs/heads/topic@refs/heads/main' },
    { repository: '*', ref: '**' },
  ]) {
    const caller = await byJwt(claims);
    const { status, scope, token } = await answerTo(caller);
    assert.deepEqual([status, scope], [200, ''], JSON.stringify(claims));
    // No other token of this subject would help, so the refusal does not ask for one.
    assert.equal((await hubgate.ask(BASE, { token })).status, 403);
    assert.equal((await hubgate.ask(BASE, caller)).status, 403);
  }
});

test('a token does not outlive the JWT that it was issued for', async () => {
  const exp = Math.floor(Date.now() / 1000) + 90;
  const { token, expires_in } = await answerTo(await byJwt({ exp }));
  assert.ok(expires_in > 60 && expires_in <= 90);
  assert.equal(decodeJwt(token).exp, exp);
  assert.equal((await hubgate.ask(BASE, { token })).status, 200);
  const short = await answerTo(await byJwt({ exp: exp - 60 }));
  assert.ok(short.status === 200 && short.expires_in <= 30 && short.expires_in >= 1);
  assert.equal((await answerTo(await byJwt({ exp: exp + 3600 }))).expires_in, 300);
  // The gateway bears with clocks that differ by a minute.
  hubgate.ahead = 151_000;
  assert.equal((await hubgate.ask(BASE, { token })).status, 401);
  assert.equal((await hubgate.ask(BASE, await byJwt({ exp }))).status, 401);
});

test('a wrong JWT is refused as a wrong password is, at the token endpoint and at a pull', async () => {
  const wrong = { user: 'ana', password: 'wrong' };
  const expected = await hubgate.ask('/token', wrong);
  const expectedPull = await hubgate.ask(BASE, wrong);
  assert.deepEqual([expected.status, expectedPull.status], [401, 401]);
  for (const claims of [{ aud: 'other' }, { iss: 'https://other.example' }, { exp: 1 }, { ref: 'a\nb' }]) {
    const caller = await byJwt(claims);
    const refused = await hubgate.ask('/token', caller);
    assert.deepEqual([refused.status, refused.body], [401, expected.body], JSON.stringify(claims));
    const pull = await hubgate.ask(BASE, caller);
    assert.deepEqual([pull.status, pull.body], [401, expectedPull.body], JSON.stringify(claims));
  }
  const text = JSON.stringify([hubgate.log, await hubgate.audit()]);
  assert.doesNotMatch(text, /eyJ|other\.example/);
});

test('a dead issuer ends no login but its own', async () => {
  issuer.plant('hang');
  const dead = byJwt().then((caller) => hubgate.ask('/token', caller));
  await waitFor(() => issuer.asked.length === 1);
  assert.equal((await hubgate.ask('/token', { user: 'ana' })).status, 200);
  await issuer.stop();
  assert.equal((await dead).status, 401);
});

test('a federation that is no longer configured, or is another one now, ends its tokens', async () => {
  const { token } = await answerTo(await byJwt());
  const status = async () => (await hubgate.ask(BASE, { token })).status;
  await hubgate.restartAuth(issuedFor('mirror.corp'));
  assert.equal(await status(), 200);
  await hubgate.restartAuth(issuedFor('elsewhere.corp'));
  await waitFor(async () => (await status()) === 401);
  await hubgate.restartAuth(issuedFor('mirror.corp'));
  await waitFor(async () => (await status()) === 200);
  await hubgate.restartAuth({});
  await waitFor(async () => (await status()) === 401);
  assert.equal((await hubgate.ask('/token', await byJwt())).status, 401);
});
