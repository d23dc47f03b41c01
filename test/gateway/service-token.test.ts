import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { removeUser } from '../../src/auth/identity/users-file.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { basic } from '../support/test-hubgate.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const DAY = 24 * 60 * 60_000;
const POLICY = `
allow:
  - { id: base, pull: [library/**, acme/**], to: [ana, ci-pay] }
  - { id: other, pull: other/**, to: zoe }
`;
const ALPINE = '/v2/library/alpine/manifests/latest';
const PAY = '/v2/acme/pay/manifests/latest';

const { hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    images: { 'library/alpine': imageOf(), 'acme/pay': imageOf(), 'other/x': imageOf() },
  },
);

/** A token of ours for a login with the service token, as docker gets one. */
async function exchange(password: string, ...names: string[]) {
  const scopes = names.map((name) => `scope=repository:${name}:pull`).join('&');
  const { status, body } = await hubgate.ask(`/token?${scopes}`, { user: 'ana', password });
  return { status, ...JSON.parse(body.toString()) };
}

test('a service token is a password at the token endpoint and on /v2/, and can only narrow', async () => {
  const { text } = await hubgate.giveToken('ana', { pull: ['docker.io/acme/**', 'docker.io/other/**'] });
  const { token, scope } = await exchange(text, 'library/alpine', 'acme/pay', 'other/x');
  assert.equal(scope, 'repository:acme/pay:pull');
  assert.equal((await hubgate.ask(PAY, { token })).status, 200);
  const direct = (target: string) => hubgate.ask(target, { user: 'ana', password: text });
  assert.equal((await direct(PAY)).status, 200);
  const refused = await direct(ALPINE);
  assert.equal(refused.status, 403);
  assert.match(refused.body.toString(), /the token is limited, and does not allow this/);
  const reasons = async () => (await hubgate.audit()).flatMap(({ reason }) => reason ?? []);
  await waitFor(async () => (await reasons()).length > 0);
  assert.deepEqual(new Set(await reasons()), new Set(['the token is limited, and does not allow this']));
  // What its owner may not, it may not.
  assert.equal((await direct('/v2/other/x/manifests/latest')).status, 403);
  assert.deepEqual((await direct(ALPINE)).body, (await direct('/v2/library/nowhere/manifests/latest')).body);
});

test('it is good only from where it may be shown, and the token that was issued for it too', async () => {
  const elsewhere = await hubgate.giveToken('ana', { from: ['10.0.0.0/8'] });
  assert.equal((await exchange(elsewhere.text, 'library/alpine')).status, 401);
  const here = await hubgate.giveToken('ana', { from: ['127.0.0.0/8', '::1'] });
  const { token } = await exchange(here.text, 'library/alpine');
  assert.equal((await hubgate.ask(ALPINE, { token })).status, 200);
});

test('invariant 13: a revoked token ends what was issued for it within a second, on an open connection', async (t) => {
  const { id, text } = await hubgate.giveToken('ana');
  const { token } = await exchange(text, 'library/alpine');
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: hubgate.ca });
  t.after(() => agent.destroy());
  const shows = [`Bearer ${token}`, basic('ana', text)];
  const statuses = () =>
    Promise.all(
      shows.map(async (authorization) => {
        return (await hubgate.send({ path: ALPINE, agent, headers: { authorization } })).status;
      }),
    );
  assert.deepEqual(await statuses(), [200, 200]);
  await using state = hubgate.openState();
  await state.removeToken(id);
  assert.ok((await untilTrue(async () => (await statuses()).every((status) => status === 401))) < 1_000);
});

test('that it ends within two weeks is said in the log, once, and in the metrics, where it has no name', async () => {
  const metric = async (name: string) => {
    const { body } = await ask({ host: '127.0.0.1', port: hubgate.adminPort, path: '/metrics' });
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString())?.[1]);
  };
  const before = await metric('hubgate_expiring_tokens');
  const { id } = await hubgate.giveToken('ana', { expiresAt: Date.now() + 13 * DAY });
  await hubgate.giveToken('ana', { expiresAt: Date.now() + 15 * DAY });
  assert.equal(await metric('hubgate_expiring_tokens'), before + 1);
  const soonest = Date.now() + hubgate.ahead + 60_000;
  const first = await hubgate.giveToken('ana', { expiresAt: soonest });
  assert.equal(await metric('hubgate_token_expiry_timestamp_seconds'), soonest / 1000);
  await using state = hubgate.openState();
  await state.removeToken(first.id);
  await hubgate.restartAuth();
  const said = () => hubgate.log.filter((line) => line.msg === 'a service token ends soon' && line.id === id);
  await waitFor(() => said().length > 0);
  assert.equal(said().length, 1);
});

test('it ends by itself, and so does what was issued for it', async () => {
  const { text } = await hubgate.giveToken('ana', { expiresAt: Date.now() + hubgate.ahead + 120_000 });
  const { token } = await exchange(text, 'library/alpine');
  assert.equal((await hubgate.ask(ALPINE, { token })).status, 200);
  hubgate.ahead += 121_000;
  assert.equal((await hubgate.ask(ALPINE, { token })).status, 401);
  assert.equal((await exchange(text, 'library/alpine')).status, 401);
});

test('where auth fails, the client hears 503 and may try again, and the log says that auth failed', async () => {
  const { text } = await hubgate.giveToken('ana');
  const database = new DatabaseSync(hubgate.paths.authState);
  database.exec('ALTER TABLE token RENAME TO gone');
  try {
    const before = hubgate.log.length;
    assert.equal((await hubgate.ask(PAY, { user: 'ana', password: text })).status, 503);
    assert.equal((await hubgate.ask('/token', { user: 'ana', password: text })).status, 503);
    const said = hubgate.log.slice(before).map((line) => `${line.msg}: ${JSON.stringify(line.err)}`);
    assert.ok(said.some((line) => /^auth failed: .*"message":"no such table: token"/.test(line)));
    assert.ok(
      said.some((line) =>
        /^a part of the mirror failed: .*"message":"auth failed: it answers 500/.test(line),
      ),
    );
    assert.ok(!said.some((line) => line.includes('ZodError')), said.join('\n'));
  } finally {
    database.exec('ALTER TABLE gone RENAME TO token');
    database.close();
  }
});

test('a token ends with the entry of its owner, and is not good again when the name returns', async () => {
  const file = hubgate.paths.users;
  const hash = await hashPassword('of no use here');
  await hubgate.setPassword('ana', hash);
  const whole = await readFile(file, 'utf8');
  const { text } = await hubgate.giveToken('ana');
  const { token } = await exchange(text, 'library/alpine');
  const statuses = async () => [
    (await exchange(text, 'library/alpine')).status,
    (await hubgate.ask(ALPINE, { token })).status,
  ];
  const becomes = (status: number) => waitFor(async () => (await statuses()).every((one) => one === status));
  await becomes(200);
  // Nothing of the tokens is lost by a file that is gone or torn for a while.
  for (const broken of [undefined, whole.slice(0, -20), 'version: 1\nusers: {}\n']) {
    if (broken === undefined) await rm(file);
    else await writeFile(file, broken, { mode: 0o600 });
    if (broken === undefined || broken.endsWith('{}\n')) await becomes(401);
    await writeFile(file, whole, { mode: 0o600 });
    await becomes(200);
  }
  // Deleted by hand, and added again by a command.
  await writeFile(file, 'version: 1\nusers: {}\n', { mode: 0o600 });
  await hubgate.setPassword('ana', hash);
  await becomes(401);
  // And by hand.
  await writeFile(file, `version: 1\nusers: { ana: { password: "${hash}" } }\n`, { mode: 0o600 });
  await becomes(401);
  const { text: unbound } = await hubgate.giveToken('ana');
  await waitFor(async () => (await exchange(unbound, 'library/alpine')).status === 200);
  await removeUser(file, 'ana');
  await hubgate.setPassword('ana', hash);
  await waitFor(async () => (await exchange(unbound, 'library/alpine')).status === 401);
});
