/** People of an identity provider are confirmed by their refresh tokens. The clock of the mirror is moved. */
import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { DirectoryMirror, PAY } from '../support/directory-mirror.ts';
import { waitFor } from '../support/wait-for.ts';

const MINUTE = 60_000;

const mirror = await DirectoryMirror.start({ after }, {}, { confirm: '15m', offline: '2h' });
const { hubgate, provider } = mirror;

afterEach(() => provider.silence('nothing'));

/** Logs somebody in, and returns what their pull by a personal token is answered. */
async function pulling(name: string) {
  const password = await mirror.tokenOf(await mirror.loggedIn(name));
  const pull = async () => (await hubgate.ask(PAY, { user: name, password })).status;
  assert.equal(await pull(), 200);
  const words = async () => {
    const asked = '/token?service=localhost&scope=repository:acme/pay:pull';
    return (await hubgate.ask(asked, { user: name, password })).body.toString();
  };
  return { pull, words, password };
}

/** Lets the time go by, and does what then happens periodically. */
async function later(milliseconds: number): Promise<void> {
  hubgate.ahead += milliseconds;
  await hubgate.reloadAuth();
}

test('a membership that is removed counts no longer after the next confirmation', async () => {
  const { pull } = await pulling('ana');
  await provider.setPerson('sub-ana', { preferred_username: 'ana', groups: ['others'] });
  await later(1 * MINUTE);
  assert.equal(await pull(), 200);
  await later(14 * MINUTE);
  await waitFor(async () => (await pull()) === 403);
  await provider.setPerson('sub-ana', { preferred_username: 'ana', groups: ['payments'] });
  await later(15 * MINUTE);
  await waitFor(async () => (await pull()) === 200);
});

test('somebody whom the provider refuses is suspended, and goes on after another login', async () => {
  const browser = await mirror.loggedIn('bo');
  const { pull, words } = await pulling('bo');
  await provider.revoke('sub-bo');
  await later(15 * MINUTE);
  await waitFor(async () => (await pull()) === 401);
  assert.match(await words(), /your login at corp must be confirmed: open https:/);
  assert.equal((await browser.get('/account/')).status, 303);
  await mirror.loggedIn('bo');
  await waitFor(async () => (await pull()) === 200);
});

test('somebody who is removed at the provider is suspended', async () => {
  const { pull } = await pulling('cy');
  await provider.remove('sub-cy');
  await later(15 * MINUTE);
  await waitFor(async () => (await pull()) === 401);
});

test('people go on while the provider is away, for "offline" and no longer, and again when it is back', async () => {
  const browser = await mirror.loggedIn('di');
  const { pull, words } = await pulling('di');
  await provider.silence('everything');
  await using state = hubgate.openState();
  const isLoggedIn = async () => (await browser.get('/account/')).status === 200;
  for (let time = 25; time < 120; time += 25) {
    await later(25 * MINUTE);
    const now = Date.now() + hubgate.ahead;
    assert.equal(await isLoggedIn(), true);
    assert.equal(await pull(), 200);
    // A session that nobody uses ends earlier, and a use is recorded some time after it.
    await waitFor(async () =>
      (await state.sessions()).some(({ user, usedAt }) => user === 'di' && usedAt >= now),
    );
  }
  await later(25 * MINUTE);
  await waitFor(async () => (await pull()) === 401);
  assert.equal(await isLoggedIn(), false);
  assert.match(await words(), /must be confirmed/);
  assert.ok(hubgate.log.some(({ msg }) => msg === 'the directory cannot be asked'));
  await provider.silence('nothing');
  await later(15 * MINUTE);
  await waitFor(async () => (await pull()) === 200);
});

test('a refresh token is used once, however many ask at the same time', async () => {
  const { pull } = await pulling('ed');
  await later(15 * MINUTE);
  const before = await provider.refreshes();
  hubgate.ahead += 15 * MINUTE;
  const logout = async () => mirror.logOut(await provider.logoutToken({ sub: 'sub-ed' }));
  await Promise.all([hubgate.reloadAuth(), hubgate.reloadAuth(), hubgate.reloadAuth(), logout()]);
  const { accepted, refused } = await provider.refreshes();
  assert.ok(accepted > before.accepted);
  assert.equal(refused, before.refused);
  assert.equal(await pull(), 200);
});

test('a new refresh token is kept even if the provider then says nothing', async () => {
  const { pull } = await pulling('fay');
  await provider.silence('userinfo');
  await later(15 * MINUTE);
  await provider.silence('nothing');
  await later(15 * MINUTE);
  const { refused } = await provider.refreshes();
  await later(15 * MINUTE);
  assert.equal((await provider.refreshes()).refused, refused);
  assert.equal(await pull(), 200);
});

test('people with names that nobody can have do not keep others from being confirmed', async () => {
  const { pull } = await pulling('zoe');
  const many = Array.from({ length: 12 }, (_, index) => `p${index}`);
  for (const name of many) await mirror.loggedIn(name);
  for (const name of many) await provider.setPerson(`sub-${name}`, { preferred_username: `${name} !` });
  await provider.setPerson('sub-zoe', { preferred_username: 'zoe', groups: [] });
  await later(15 * MINUTE);
  await waitFor(async () => (await pull()) === 403);
});

test('somebody whom the provider renames keeps their tokens under the new name', async () => {
  const { password } = await pulling('gil');
  await provider.setPerson('sub-gil', { preferred_username: 'gila', groups: ['payments'] });
  await later(15 * MINUTE);
  await waitFor(async () => (await hubgate.ask(PAY, { user: 'gila', password })).status === 200);
  await using state = hubgate.openState();
  assert.equal(await state.person('gil'), undefined);
  // Somebody else who gets the old name gets nothing else of it.
  await provider.setPerson('sub-other-gil', { preferred_username: 'gil', groups: [] });
  assert.equal((await mirror.logIn(new Browser(hubgate), 'sub-other-gil')).status, 200);
  assert.equal((await hubgate.ask(PAY, { user: 'gila', password })).status, 200);
  const { body } = await hubgate.ask('/token?service=localhost', { user: 'gil', password });
  const { sub } = JSON.parse(
    Buffer.from(JSON.parse(body.toString()).token.split('.')[1], 'base64url').toString(),
  );
  assert.equal(sub, 'user:gila');
});

test('a name that somebody had who is hired again, with another id, is refused in words', async () => {
  await mirror.loggedIn('hana');
  await provider.setPerson('sub-hana-again', { preferred_username: 'hana', groups: ['payments'] });
  const refused = await mirror.logIn(new Browser(hubgate), 'sub-hana-again');
  assert.equal(refused.status, 403);
  assert.match(
    refused.text,
    /the name hana belongs to another account; .*hubgate user link hana corp sub-hana-again/,
  );
});

test('somebody who gets more groups than can be read is suspended, and cannot log in', async () => {
  const { pull, words } = await pulling('ike');
  const groups = ['payments', ...Array.from({ length: 1_000 }, (_, index) => `group-${index}`)];
  await provider.setPerson('sub-ike', { preferred_username: 'ike', groups: groups.slice(0, 1_000) });
  await later(15 * MINUTE);
  assert.equal(await pull(), 200);
  await provider.setPerson('sub-ike', { preferred_username: 'ike', groups });
  await later(15 * MINUTE);
  await waitFor(async () => (await pull()) === 401);
  assert.match(await words(), /must be confirmed/);
  assert.ok(hubgate.log.some(({ msg }) => msg.startsWith('somebody has too many groups')));
  const refused = await mirror.logIn(new Browser(hubgate), 'sub-ike');
  assert.equal(refused.status, 403);
  assert.match(refused.text, /you have more groups at corp than can be read/);
  await provider.setPerson('sub-ike', { preferred_username: 'ike', groups: groups.slice(0, 1_000) });
  await mirror.loggedIn('ike');
  await waitFor(async () => (await pull()) === 200);
});
