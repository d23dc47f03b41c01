import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { withMirror } from '../support/with-mirror.ts';

const FIXTURE = path.join(import.meta.dirname, '../support/fixtures/identity-provider.ts');
const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());

const hub = stack.use(await FakeHub.start());
/** The identity provider must know the mirror's address before the mirror runs. */
const port = await freePort();
const origin = `https://localhost:${port}`;
const provider = fork(FIXTURE, [`${origin}/account/login/corp/callback`], {
  stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
});
stack.defer(async () => {
  const ended = once(provider, 'exit');
  provider.disconnect();
  await ended;
});
const [{ issuer }] = await once(provider, 'message');
const { hubgate } = await withMirror(
  { after },
  {
    hub,
    policy: 'allow: [{ id: base, pull: library/**, to: authenticated }]',
    configuration: { server: { url: origin }, login: { corp: { oidc: { issuer, clientId: 'hubgate' } } } },
  },
);
await hubgate.startAccount();

test('a forged logout, an unknown login and a foreign state are refused', async () => {
  const none = await hubgate.ask('/account/login/other');
  assert.equal(none.status, 403);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const logout = await hubgate.ask('/account/login/corp/logout', {
    method: 'POST',
    headers: form,
    send: 'logout_token=a.b.c',
  });
  assert.equal(logout.status, 400);
  const back = await hubgate.ask('/account/login/corp/callback?code=x&state=y', {
    headers: { cookie: '__Host-hubgate-login=z' },
  });
  assert.equal(back.status, 403);
  assert.doesNotMatch(String(back.headers['set-cookie']), /__Host-hubgate=/);
});

test('the login page leads to the provider, with PKCE and a cookie that comes back', async () => {
  const page = await hubgate.ask('/account/login');
  assert.match(page.body.toString(), /\/account\/login\/corp/);
  for (const to of ['https://elsewhere.example/', '//elsewhere.example', '/account/tokens']) {
    const { status, headers } = await hubgate.ask(`/account/login/corp?to=${encodeURIComponent(to)}`);
    assert.equal(status, 303);
    const location = new URL(String(headers.location));
    assert.equal(location.origin, issuer);
    assert.equal(location.searchParams.get('code_challenge_method'), 'S256');
    assert.match(
      String(headers['set-cookie']),
      /^__Host-hubgate-login=[^;]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
  }
});
