import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { imageOf } from '../support/image.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { untilTrue } from '../support/until-true.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';
const SCOPE = 'repository:library/alpine:pull';
const LIFETIME = 90 * 24 * 60 * 60_000;

const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    users: ['ana', 'jin', 'zoe'],
    configuration: { token: { refresh: `${LIFETIME / 1000}s` } },
    images: { 'library/alpine': imageOf() },
  },
);

/** As `docker login` asks. */
async function login(user: string, password = PASSWORD): Promise<string | undefined> {
  const target = '/token?account=x&client_id=docker&offline_token=true&service=x';
  const { status, body } = await hubgate.ask(target, { user, password });
  assert.equal(status, 200);
  return JSON.parse(body.toString()).refresh_token;
}

async function renew(refreshToken: string | undefined, at = hubgate) {
  const form = {
    grant_type: 'refresh_token',
    client_id: 'docker',
    scope: SCOPE,
    refresh_token: refreshToken ?? '',
  };
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const send = new URLSearchParams(form).toString();
  const { status, body } = await at.send({ path: '/token', method: 'POST', headers, send });
  return { status, ...JSON.parse(body.toString()) };
}

test('a person’s login is given a refresh token, which can be used again and again in the place of the password', async () => {
  const refreshToken = await login('ana');
  for (const _ of ['once', 'twice']) {
    const {
      status,
      access_token: token,
      token: same,
      expires_in: lifetime,
      scope,
      refresh_token: none,
    } = await renew(refreshToken);
    assert.deepEqual([status, lifetime, scope, none], [200, 300, SCOPE, undefined]);
    assert.equal(token, same);
    assert.equal((await hubgate.ask(ALPINE, { token })).status, 200);
  }
  await using state = hubgate.openState();
  const [kept] = await state.logins();
  assert.deepEqual([kept?.user, kept?.client], ['ana', 'docker']);
  assert.ok(!JSON.stringify(kept).includes(refreshToken?.slice(24, 54) ?? ''));
});

test('none is given unasked, nor for a service token; and one is no password and no service token', async () => {
  const { body } = await hubgate.ask('/token?service=x', { user: 'ana' });
  assert.equal(JSON.parse(body.toString()).refresh_token, undefined);
  const { text } = await hubgate.giveToken('ana');
  assert.equal(await login('ana', text), undefined);
  const refreshToken = (await login('ana')) ?? assert.fail();
  assert.equal((await hubgate.ask('/token?service=x', { user: 'ana', password: refreshToken })).status, 401);
  assert.equal((await renew(text)).status, 401);
  const other = refreshToken.endsWith('0') ? '1' : '0';
  assert.equal((await renew(refreshToken.slice(0, -1) + other)).status, 401);
  assert.equal((await renew('')).status, 401);
});

test('invariant 13: it ends, with what was issued for it, when it is revoked and when the password is another', async () => {
  for (const end of [
    async () => {
      await using state = hubgate.openState();
      for (const { id, user } of await state.logins()) if (user === 'jin') await state.removeLogin(id);
    },
    async () => hubgate.setPassword('jin', await hashPassword('another one')),
  ]) {
    const refreshToken = await login('jin');
    const { token } = await renew(refreshToken);
    assert.equal((await hubgate.ask(ALPINE, { token })).status, 200);
    await end();
    assert.ok((await untilTrue(async () => (await hubgate.ask(ALPINE, { token })).status === 401)) < 1_000);
    assert.equal((await renew(refreshToken)).status, 401);
  }
});

test('it ends by itself; and of one user no more than 50 are kept', async () => {
  const first = await login('zoe');
  for (let count = 0; count < 50; count++) await login('zoe');
  assert.equal((await renew(first)).status, 401);
  const last = await login('zoe');
  assert.equal((await renew(last)).status, 200);
  await using state = hubgate.openState();
  assert.equal((await state.logins()).filter(({ user }) => user === 'zoe').length, 50);
  hubgate.ahead += LIFETIME;
  assert.equal((await renew(last)).status, 401);
  hubgate.ahead = 0;
});

test('one that was given while the clock was ahead counts for nothing once the clock is right', async () => {
  hubgate.ahead = 3 * 60 * 60_000;
  const early = await login('zoe');
  assert.equal((await renew(early)).status, 200);
  hubgate.ahead = 0;
  assert.equal((await renew(early)).status, 401);
  assert.equal((await renew(await login('zoe'))).status, 200);
});

test('where they are off none is given', async (t) => {
  const { hubgate: off } = await withMirror(t, { policy: 'allow: []', hub });
  const { body } = await off.ask('/token?client_id=docker&offline_token=true', { user: 'ana' });
  assert.equal(JSON.parse(body.toString()).refresh_token, undefined);
});
