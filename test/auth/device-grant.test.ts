import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import {
  formatServiceToken,
  makeServiceToken,
  parseServiceToken,
} from '../../src/auth/identity/service-token.ts';
import { DEVICE_GRANT } from '../../src/auth/limits.ts';
import { askAuth } from '../support/ask-auth.ts';
import { imageOf } from '../support/image.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    users: ['ana', 'jin', 'zoe', 'max', 'lea', 'tom', 'eve'],
    configuration: { token: { longest: '30d' } },
    images: { 'library/alpine': imageOf() },
  },
);

function asked(path: string, body: object) {
  return askAuth(hubgate.paths.authSocket, path, body);
}

interface Session {
  readonly session: string;
  readonly csrf: string;
}

async function logIn(name: string): Promise<Session> {
  const login = { kind: 'password', name, password: PASSWORD, address: '10.1.2.3' };
  const { status, body } = await asked('/session', login);
  assert.equal(status, 200, JSON.stringify(body));
  const session = String(body.session);
  return { session, csrf: String((await asked('/session/show', { session })).body.csrf) };
}

let networks = 0;

/** A machine in a network of its own, unless `address` says otherwise. */
async function begin(machine = 'ana’s laptop', address = `10.77.${networks++}.1`) {
  const { status, body } = await asked('/device/begin', { machine, address });
  assert.equal(status, 200, JSON.stringify(body));
  return { code: String(body.device_code), shown: String(body.user_code), body, address };
}

/** Polls as a patient machine does: the interval later, by the clock of the mirror. */
async function poll(code: string) {
  hubgate.ahead += DEVICE_GRANT.longestInterval;
  return asked('/device/poll', { device_code: code });
}

async function decide(user: Session, code: string, approve = true) {
  return asked('/device/decide', { ...user, user_code: code, approve });
}

test('a machine gets a token of the user who approved it, named after it, once', async () => {
  const ana = await logIn('ana');
  const { code, shown, body, address } = await begin();
  assert.match(code, /^[A-Za-z0-9_-]{43}$/);
  assert.match(shown, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
  assert.deepEqual([body.interval, body.expires_in], [5, 600]);
  assert.match(String(body.verification_uri), /^https:\/\/.*\/account\/device$/);
  assert.deepEqual(await poll(code), { status: 400, body: { error: 'authorization_pending' } });
  const typed = ` ${shown.toLowerCase().replace('-', ' ')}`;
  const seen = await asked('/device/show', { session: ana.session, user_code: typed });
  assert.deepEqual(
    [seen.body.user_code, seen.body.machine, seen.body.address],
    [shown, 'ana’s laptop', address],
  );
  assert.deepEqual(await decide(ana, typed), { status: 200, body: { done: true } });
  const given = await poll(code);
  assert.deepEqual([given.status, given.body.user], [200, 'ana']);
  assert.ok(Number(given.body.expires) <= Date.now() + hubgate.ahead + 30 * 24 * 60 * 60_000);
  const password = String(given.body.token);
  await waitFor(async () => (await hubgate.ask(ALPINE, { user: 'ana', password })).status === 200);
  const { body: list } = await asked('/account/tokens', { session: ana.session });
  const own = list.tokens as { id: string; label: string }[];
  assert.deepEqual(
    own.map(({ id, label }) => [id, label]),
    [[given.body.id, 'ana’s laptop']],
  );
  // A replay of the code, and another answer to it, change nothing any more.
  assert.deepEqual(await poll(code), { status: 400, body: { error: 'expired_token' } });
  assert.equal((await decide(ana, shown)).body.error, 'WRONG');
});

test('of two polls at the same time only one gets the token', async () => {
  const user = await logIn('jin');
  const { code, shown } = await begin();
  await decide(user, shown);
  const polls = await Promise.all([poll(code), poll(code), poll(code)]);
  assert.deepEqual(polls.filter(({ status }) => status === 200).length, 1);
  const { body } = await asked('/account/tokens', { session: user.session });
  assert.equal((body.tokens as unknown[]).length, 1);
});

test('only the hash of a device code is kept', async () => {
  const { code } = await begin();
  await using state = hubgate.openState();
  const devices = await state.devices();
  assert.ok(devices.some(({ hash }) => hash === createHash('sha256').update(code).digest('hex')));
  assert.equal(JSON.stringify(devices).includes(code), false);
});

test('a refused machine is told so, and the first answer counts', async () => {
  const [user, other] = [await logIn('lea'), await logIn('tom')];
  const { code, shown } = await begin();
  assert.equal((await decide(user, shown, false)).status, 200);
  assert.equal((await decide(other, shown)).body.error, 'WRONG');
  assert.deepEqual(await poll(code), { status: 400, body: { error: 'access_denied' } });
  assert.deepEqual(await poll(code), { status: 400, body: { error: 'expired_token' } });
});

test('nobody approves a machine without a session and its own CSRF token', async () => {
  const [user, other] = [await logIn('lea'), await logIn('tom')];
  const { code, shown } = await begin();
  for (const csrf of ['', 'x'.repeat(43), other.csrf]) {
    const { body } = await decide({ session: user.session, csrf }, shown);
    assert.deepEqual(body, { error: 'BAD_CSRF' });
  }
  const nobody = { session: 'x'.repeat(43), csrf: user.csrf };
  assert.deepEqual((await decide(nobody, shown)).body, { error: 'NO_SESSION' });
  const unseen = await asked('/device/show', { session: nobody.session, user_code: shown });
  assert.deepEqual(unseen.body, { error: 'NO_SESSION' });
  assert.deepEqual((await poll(code)).body, { error: 'authorization_pending' });
});

test('a code ends after ten minutes, whether or not somebody has approved it', async () => {
  const before = hubgate.ahead;
  const [pending, approved] = [await begin(), await begin()];
  const user = await logIn('lea');
  await decide(user, approved.shown);
  hubgate.ahead = before + DEVICE_GRANT.lifetime + 1;
  assert.equal((await decide(user, pending.shown)).body.error, 'WRONG');
  for (const { code } of [pending, approved])
    assert.deepEqual((await poll(code)).body, { error: 'expired_token' });
});

test('a machine that polls too often has to slow down, more each time', async () => {
  const { code, shown } = await begin();
  const user = await logIn('lea');
  await decide(user, shown);
  const other = await begin();
  assert.equal(
    (await asked('/device/poll', { device_code: other.code })).body.error,
    'authorization_pending',
  );
  // By the real clock, these come at once.
  for (let time = 0; time < 20; time++)
    assert.equal((await asked('/device/poll', { device_code: other.code })).body.error, 'slow_down');
  assert.equal((await poll(other.code)).body.error, 'authorization_pending');
  // The flood of one machine delays no other.
  assert.equal((await asked('/device/poll', { device_code: code })).status, 200);
});

test('what the user may do no more when the machine polls, it does not get', async () => {
  const user = await logIn('zoe');
  const { code, shown } = await begin();
  await decide(user, shown);
  await hubgate.setDisabled('zoe', true);
  await waitFor(async () => (await asked('/session/show', { session: user.session })).status !== 200);
  assert.deepEqual(await poll(code), { status: 400, body: { error: 'access_denied' } });
  await using state = hubgate.openState();
  assert.deepEqual(
    (await state.tokens()).filter(({ owner }) => owner === 'zoe'),
    [],
  );
});

test('a user who types codes that nobody shows may soon type no more; others may', async () => {
  const [eve, lea] = [await logIn('eve'), await logIn('lea')];
  const { shown } = await begin();
  const wrong = ['BBBB-BBBB', 'AAAA-AAAA', '', 'x'.repeat(90), `${shown}B`];
  for (let time = 0; time < DEVICE_GRANT.guesses; time++) {
    const guess = wrong[time % wrong.length] ?? '';
    const { body } =
      time % 2 === 0
        ? await decide(eve, guess)
        : await asked('/device/show', { session: eve.session, user_code: guess });
    assert.match(String(body.reasons), /no machine waits/);
  }
  // Another session of the same user has no guesses left either.
  const again = await logIn('eve');
  for (const one of [eve, again])
    assert.match(String((await decide(one, shown)).body.reasons), /too many codes/);
  assert.equal((await asked('/device/show', { session: lea.session, user_code: shown })).status, 200);
  hubgate.ahead += DEVICE_GRANT.guessesForgottenAfter + 1;
  const later = await begin();
  assert.equal((await decide(await logIn('eve'), later.shown)).status, 200);
});

test('one network takes the places of no other', async () => {
  const codes: string[] = [];
  for (let time = 0; time < DEVICE_GRANT.waitingEach; time++)
    codes.push((await begin('m', `10.200.1.${time}`)).code);
  const { status, body } = await asked('/device/begin', { machine: 'm', address: '10.200.1.99' });
  assert.deepEqual([status, body.error], [400, 'temporarily_unavailable']);
  const { code } = await begin('m', '10.200.2.1');
  assert.equal((await poll(code)).body.error, 'authorization_pending');
  hubgate.ahead += DEVICE_GRANT.lifetime;
  await begin('m', '10.200.1.99');
  await using state = hubgate.openState();
  const left = await state.devices();
  for (const one of codes)
    assert.equal(
      left.some(({ hash }) => hash === createHash('sha256').update(one).digest('hex')),
      false,
    );
});

test('a site of IPv6 takes some places only, however many networks it has', async () => {
  const { waitingEach, waitingOfSite } = DEVICE_GRANT;
  const addressOf = (site: string, index: number) => `2001:db8:${site}:${Math.floor(index / waitingEach)}::1`;
  for (let index = 0; index < waitingOfSite; index++) await begin('m', addressOf('a', index));
  const machine = { machine: 'm', address: addressOf('a', waitingOfSite) };
  const { status, body } = await asked('/device/begin', machine);
  assert.deepEqual([status, body.error], [400, 'temporarily_unavailable']);
  await begin('m', addressOf('b', 0));
  hubgate.ahead += DEVICE_GRANT.lifetime;
});

test('a machine has a name that a page can show', async () => {
  for (const machine of ['', '  ', 'x'.repeat(101), 'a\u202eb', 'a\nb', 'a\u0000']) {
    const { status, body } = await asked('/device/begin', { machine, address: '10.201.1.1' });
    assert.deepEqual([status, body.error], [400, 'invalid_request'], machine);
    assert.match(String(body.error_description), /name of the machine/);
  }
});

test('whoever has the token of a machine revokes it, and no token of an operator', async () => {
  const user = await logIn('max');
  const { code, shown } = await begin();
  await decide(user, shown);
  const password = String((await poll(code)).body.token);
  const may = async (text: string) =>
    (await hubgate.ask(ALPINE, { user: 'max', password: text })).status === 200;
  await waitFor(() => may(password));
  const { text: operators } = await hubgate.giveToken('max');
  const { id = '' } = parseServiceToken(password) ?? {};
  const forged = formatServiceToken({ ...makeServiceToken(), id });
  for (const token of ['', 'x', forged, operators])
    assert.deepEqual(await asked('/device/revoke', { token }), { status: 200, body: { done: true } });
  assert.ok((await may(password)) && (await may(operators)));
  assert.equal((await asked('/device/revoke', { token: password })).status, 200);
  await waitFor(async () => !(await may(password)));
  assert.ok(await may(operators));
});
