import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { PERSONAL_TOKENS, SESSIONS } from '../../src/auth/limits.ts';
import { askAuth } from '../support/ask-auth.ts';
import { imageOf } from '../support/image.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';
const ADDRESS = '10.1.2.3';
const CHEAP = { memory: 2 ** 20, passes: 2 };

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    users: ['ana', 'jin', 'zoe', 'max', 'lea', 'tom', 'kim', 'eve', 'ida'],
    configuration: { token: { longest: '30d' } },
    images: { 'library/alpine': imageOf() },
  },
);

function asked(path: string, body: object) {
  return askAuth(hubgate.paths.authSocket, path, body);
}

async function logIn(name: string, password = PASSWORD): Promise<string> {
  const { status, body } = await asked('/session', { kind: 'password', name, password, address: ADDRESS });
  assert.equal(status, 200, JSON.stringify(body));
  return String(body.session);
}

async function csrfOf(session: string): Promise<string> {
  return String((await asked('/session/show', { session })).body.csrf);
}

const TERMS = { label: 'laptop', expires: '7d', pull: null, push: null, from: null };

async function create(session: string, terms: object = {}) {
  return asked('/account/tokens/create', { session, csrf: await csrfOf(session), ...TERMS, ...terms });
}

async function isOver(session: string): Promise<boolean> {
  const { status, body } = await asked('/session/show', { session });
  assert.ok(status === 200 || body.error === 'NO_SESSION', JSON.stringify(body));
  return status !== 200;
}

test('a password begins a session, of whose id only the hash is kept', async () => {
  const session = await logIn('ana');
  assert.match(session, /^[A-Za-z0-9_-]{43}$/);
  const { body } = await asked('/session/show', { session });
  assert.deepEqual([body.user, body.login, body.canChangePassword], ['ana', null, true]);
  await using state = hubgate.openState();
  const [stored] = (await state.sessions()).filter(({ user }) => user === 'ana');
  assert.equal(stored?.hash, createHash('sha256').update(session).digest('hex'));
  assert.doesNotMatch(JSON.stringify(await state.sessions()), new RegExp(session));
  assert.notEqual(await logIn('ana'), session);
});

test('a wrong password, a token, a service and an endless password begin no session', async () => {
  const { text } = await hubgate.giveToken('ana');
  const attempts: [string, string][] = [
    ['ana', 'not the password'],
    ['nobody', PASSWORD],
    ['ana', text],
    ['oidc', text],
    ['ana', 'x'.repeat(10_000)],
    ['', ''],
  ];
  for (const [name, password] of attempts) {
    const request = { kind: 'password', name, password, address: '10.9.9.9' };
    const { status, body } = await asked('/session', request);
    assert.deepEqual([status, body], [400, { error: 'BAD_CREDENTIALS' }], name);
  }
});

test('a session that nobody uses ends after half an hour, and every session after eight hours', async () => {
  const [idle, busy] = [await logIn('jin'), await logIn('jin')];
  const before = hubgate.ahead;
  hubgate.ahead = before + SESSIONS.idle - 60_000;
  assert.equal(await isOver(busy), false);
  const hash = createHash('sha256').update(busy).digest('hex');
  {
    await using state = hubgate.openState();
    const now = Date.now() + hubgate.ahead;
    // The use is written a moment later.
    await waitFor(async () => now - ((await state.session(hash))?.usedAt ?? 0) < SESSIONS.idle / 2);
  }
  hubgate.ahead = before + SESSIONS.idle + 60_000;
  assert.deepEqual([await isOver(idle), await isOver(busy)], [true, false]);
  hubgate.ahead = before + SESSIONS.lifetime - 60_000;
  const state = hubgate.openState();
  await state.useSession(hash, Date.now() + hubgate.ahead);
  await state[Symbol.asyncDispose]();
  assert.equal(await isOver(busy), false);
  hubgate.ahead = before + SESSIONS.lifetime + 1;
  assert.equal(await isOver(busy), true);
  hubgate.ahead = before;
  // What is over stays over, whatever the clock says.
  assert.equal(await isOver(busy), true);
});

test('a session ends within a second with the user, and with the password', async () => {
  const session = await logIn('zoe');
  const other = await logIn('max');
  await hubgate.setDisabled('zoe', true);
  await hubgate.setPassword('max', await hashPassword('another long password', CHEAP));
  await waitFor(async () => (await isOver(session)) && (await isOver(other)));
  await hubgate.setDisabled('zoe', false);
  assert.equal(await isOver(session), true);
});

test('whoever knows a session but not its CSRF token changes nothing', async () => {
  const [session, other] = [await logIn('lea'), await logIn('lea')];
  const { id } = await hubgate.giveToken('lea');
  for (const csrf of ['', 'x'.repeat(43), await csrfOf(other)]) {
    const proof = { session, csrf };
    const password = { current: PASSWORD, password: 'a new long password', address: ADDRESS };
    for (const [path, request] of [
      ['/session/end', proof],
      ['/account/password', { ...proof, ...password }],
      ['/account/tokens/create', { ...proof, ...TERMS }],
      ['/account/tokens/revoke', { ...proof, id }],
    ] as const)
      assert.deepEqual(await asked(path, request), { status: 400, body: { error: 'BAD_CSRF' } }, path);
  }
  assert.equal(await isOver(session), false);
  assert.equal((await asked('/session/end', { session, csrf: await csrfOf(session) })).status, 200);
  assert.equal(await isOver(session), true);
});

test('a token of one’s own can be made, narrowed, listed and revoked', async () => {
  const session = await logIn('tom');
  const terms = { pull: ['library/*'], push: null, from: ['127.0.0.0/8', '::1/128'] };
  const { status, body } = await create(session, terms);
  assert.equal(status, 200, JSON.stringify(body));
  const password = String(body.token);
  assert.equal((await hubgate.ask(ALPINE, { user: 'tom', password })).status, 200);
  const elsewhere = await create(session, { from: ['10.0.0.0/8'], label: ' desk ' });
  const refused = await hubgate.ask(ALPINE, { user: 'tom', password: String(elsewhere.body.token) });
  assert.equal(refused.status, 401);
  const { body: list } = await asked('/account/tokens', { session });
  const tokens = list.tokens as Record<string, unknown>[];
  assert.deepEqual(
    tokens.map(({ label, pull, from }) => [label, pull, from]),
    [
      ['laptop', ['docker.io/library/*'], ['127.0.0.0/8', '::1/128']],
      ['desk', null, ['10.0.0.0/8']],
    ],
  );
  assert.doesNotMatch(JSON.stringify(list), /hash|secret|hubgate_/);
  const csrf = await csrfOf(session);
  const revoke = () => asked('/account/tokens/revoke', { session, csrf, id: body.id });
  assert.equal((await revoke()).status, 200);
  assert.equal((await revoke()).body.error, 'WRONG');
  await waitFor(async () => (await hubgate.ask(ALPINE, { user: 'tom', password })).status === 401);
});

test('the tokens of others cannot be seen or revoked', async () => {
  const session = await logIn('kim');
  const { id } = await hubgate.giveToken('tom');
  // A token of an earlier entry of the same name belongs to somebody else too.
  const former = await hubgate.giveToken('kim', { ownerId: 'u000' });
  assert.deepEqual((await asked('/account/tokens', { session })).body.tokens, []);
  const csrf = await csrfOf(session);
  for (const one of [id, former.id, 'none'])
    assert.equal((await asked('/account/tokens/revoke', { session, csrf, id: one })).body.error, 'WRONG');
  await using state = hubgate.openState();
  assert.ok((await state.token(id)) && (await state.token(former.id)));
});

test('a token that is too long-lived, too many or badly written is refused in words', async () => {
  const session = await logIn('kim');
  const mistakes: [object, RegExp][] = [
    [{ expires: '31d' }, /31d is longer than 30d/],
    [{ expires: 'soon' }, /"soon" is no duration/],
    [{ label: ' ' }, /needs a name/],
    [{ label: 'x'.repeat(101) }, /at most 100 characters/],
    [{ label: 'a\u202eb' }, /invisible/],
    [{ pull: ['../etc'] }, /no host/],
    [{ push: ['library/x'] }, /library\/x/],
    [{ from: ['10.0.0.0/99'] }, /no network/],
    [{ from: Array.from({ length: 51 }, (_, index) => `10.0.0.${index}/32`) }, /at most 50/],
  ];
  for (const [terms, reason] of mistakes) {
    const { status, body } = await create(session, terms);
    assert.deepEqual([status, body.error], [400, 'WRONG']);
    assert.match(String(body.reasons), reason);
  }
});

test('one’s own password can be changed, which ends what the old one began', async () => {
  const [session, other] = [await logIn('eve'), await logIn('eve')];
  const csrf = await csrfOf(session);
  const password = 'an entirely new password';
  const change = (more: object) =>
    asked('/account/password', { session, csrf, current: PASSWORD, password, address: ADDRESS, ...more });
  assert.equal((await change({ current: 'not the password' })).body.error, 'BAD_CREDENTIALS');
  assert.match(String((await change({ password: 'short' })).body.reasons), /too short/);
  await writeFile(
    hubgate.paths.users,
    (await readFile(hubgate.paths.users, 'utf8')).replace(/^/, '# mine\n'),
  );
  const { status, body } = await change({});
  assert.equal(status, 200, JSON.stringify(body));
  assert.match(await readFile(hubgate.paths.users, 'utf8'), /^# mine\n/);
  assert.deepEqual([await isOver(session), await isOver(other)], [true, true]);
  assert.equal(await isOver(String(body.session)), false);
  assert.equal((await hubgate.ask(ALPINE, { user: 'eve', password })).status, 200);
  assert.equal((await hubgate.ask(ALPINE, { user: 'eve' })).status, 401);
});

test('a user has at most as many sessions as the limit says', async () => {
  const first = await logIn('ana');
  for (let count = 0; count < SESSIONS.ofUser; count++) await logIn('ana');
  assert.equal(await isOver(first), true);
  await using state = hubgate.openState();
  const own = (await state.sessions()).filter(({ user }) => user === 'ana');
  assert.equal(own.length, SESSIONS.ofUser);
});

test('a user has at most as many tokens as the limit says, also by machines that were approved before', async () => {
  const session = await logIn('ida');
  const csrf = await csrfOf(session);
  for (let count = 1; count < PERSONAL_TOKENS.ofUser; count++) await hubgate.giveToken('ida');
  const begin = async () => (await asked('/device/begin', { machine: 'laptop', address: ADDRESS })).body;
  const approve = async ({ user_code }: Awaited<ReturnType<typeof begin>>) =>
    (await asked('/device/decide', { session, csrf, user_code, approve: true })).body;
  const machines = [await begin(), await begin(), await begin()];
  for (const machine of machines) assert.deepEqual(await approve(machine), { done: true });
  const polled = [];
  for (const { device_code } of machines) polled.push(await asked('/device/poll', { device_code }));
  assert.deepEqual(
    polled.map(({ body }) => body.error),
    [undefined, 'access_denied', 'access_denied'],
  );
  for (const body of [await approve(await begin()), (await create(session)).body])
    assert.match(String(body.reasons), /you have 100 tokens already; revoke one/);
  await using state = hubgate.openState();
  const own = (await state.tokens()).filter(({ owner }) => owner === 'ida');
  assert.equal(own.length, PERSONAL_TOKENS.ofUser);
});
