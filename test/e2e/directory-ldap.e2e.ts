/** Logins by LDAP, with Debian's slapd. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Mirror, withMirror } from '../support/with-mirror.ts';
import { BIND_DN, BIND_PASSWORD, PEOPLE, type Slapd, startSlapd } from './support/slapd.ts';

const PAY = '/v2/acme/pay/manifests/latest';
const PASSWORD = 'p4ssword of a person';
/** Active Directory counts from 1601. */
const SINCE_1601 = 11_644_473_600_000n;

let slapd: Slapd;
let secret: string;
const stack = new AsyncDisposableStack();

before(async () => {
  slapd = stack.use(await startSlapd());
  secret = path.join(slapd.directory, 'secret');
  await writeFile(secret, `${BIND_PASSWORD}\n`, { mode: 0o600 });
  for (const name of ['zoe', 'cy', 'di', 'ed']) await slapd.addPerson(name, PASSWORD);
  await slapd.setMembers('payments', ['zoe', 'cy', 'di']);
});

after(() => stack.disposeAsync());

type Scope = Parameters<typeof withMirror>[0];

function mirror(scope: Scope, ldap: Readonly<Record<string, unknown>> = {}): Promise<Mirror> {
  const common = { people: PEOPLE, bindDn: BIND_DN, bindPasswordFile: secret, ca: slapd.ca };
  return withMirror(scope, {
    policy: 'allow: [{ id: pay, pull: acme/pay, to: "group:corp/payments", private: true }]',
    privateImages: { 'acme/pay': imageOf() },
    configuration: {
      login: {
        corp: { ldap: { url: slapd.tlsUrl, passwords: 'everywhere', ...common, ...ldap }, confirm: '60s' },
      },
    },
  });
}

async function token({ hubgate }: Mirror, user: string, password = PASSWORD) {
  const { status, body } = await hubgate.ask('/token?scope=repository:acme/pay:pull', { user, password });
  return { status, ...JSON.parse(body.toString()) };
}

for (const [kind, more] of [
  ['ldaps', () => ({ url: slapd.tlsUrl })],
  ['STARTTLS', () => ({ url: slapd.url, startTls: true })],
] as const) {
  test(`${kind}: a person logs in with the password of the directory, and has its groups`, async (t) => {
    const running = await mirror(t, more());
    const { status, token: issued } = await token(running, 'zoe');
    assert.equal(status, 200);
    assert.equal((await running.hubgate.ask(PAY, { token: issued })).status, 200);
    assert.equal((await token(running, 'zoe', 'wrong')).status, 401);
    assert.equal((await token(running, 'nobody')).status, 401);
    const ed = await token(running, 'ed');
    assert.deepEqual([ed.status, ed.scope], [200, '']);
  });

  test(`${kind}: a directory with a certificate of another authority is not used`, async (t) => {
    const running = await mirror(t, { ...more(), ca: slapd.otherCa });
    const { status, errors } = await token(running, 'zoe');
    assert.equal(status, 503);
    assert.match(errors[0].message, /the directory corp does not answer/);
  });
}

test('of two entries with the same name nobody logs in', async (t) => {
  const running = await mirror(t);
  await slapd.addPerson('twin', PASSWORD);
  assert.equal((await token(running, 'twin')).status, 200);
  await slapd.addPerson('twin', PASSWORD, { ou: 'twice' });
  await running.hubgate.restartAuth();
  assert.equal((await token(running, 'twin')).status, 401);
});

test('passwords are accepted on the account page alone, unless the configuration says everywhere', async (t) => {
  const running = await mirror(t, { passwords: 'console' });
  assert.equal((await token(running, 'zoe')).status, 401);
});

test('a membership and an entry that are removed count no longer after the next confirmation', async (t) => {
  const running = await mirror(t);
  const { hubgate } = running;
  const { token: cy } = await token(running, 'cy');
  const { token: di } = await token(running, 'di');
  for (const issued of [cy, di]) assert.equal((await hubgate.ask(PAY, { token: issued })).status, 200);
  await slapd.setMembers('payments', ['zoe']);
  await slapd.removePerson('di');
  hubgate.ahead += 61_000;
  await hubgate.reloadAuth();
  await waitFor(async () => (await hubgate.ask(PAY, { token: cy })).status === 403);
  await waitFor(async () => (await hubgate.ask(PAY, { token: di })).status === 401);
});

test('an account that Active Directory disables, or that ends there, counts no longer', async (t) => {
  const running = await mirror(t);
  const { hubgate } = running;
  const now = BigInt(Date.now());
  const ends = (milliseconds: bigint) => String((milliseconds + SINCE_1601) * 10_000n);
  const attributes = {
    jo: ['userAccountControl', '512', '514'],
    kim: ['accountExpires', ends(now + 60_000n), ends(now + 60_000n)],
    lou: ['accountExpires', '0', ends(now)],
    mia: ['accountExpires', '9223372036854775807', '9223372036854775807'],
  } as const;
  const answers = async (issued: string) => (await hubgate.ask('/v2/', { token: issued })).status;
  const tokens = new Map<string, string>();
  for (const [name, [attribute, before, after]] of Object.entries(attributes)) {
    await slapd.addPerson(name, PASSWORD);
    await slapd.setValues(name, attribute, [before]);
    const { token: issued } = await token(running, name);
    assert.equal(await answers(issued), 200);
    tokens.set(name, issued);
    await slapd.setValues(name, attribute, [after]);
  }
  hubgate.ahead += 61_000;
  await hubgate.reloadAuth();
  for (const [name, issued] of tokens) {
    const expected = name === 'mia' ? 200 : 401;
    await waitFor(async () => (await answers(issued)) === expected);
    // slapd accepts the password.
    assert.equal((await token(running, name)).status, expected, name);
  }
});

test('somebody who gets more groups than can be read is refused as long as that lasts', async (t) => {
  const running = await mirror(t, { groups: 'description' });
  const { hubgate } = running;
  await slapd.addPerson('fay', PASSWORD);
  const groups = ['payments', ...Array.from({ length: 1_000 }, (_, index) => `group-${index}`)];
  await slapd.setValues('fay', 'description', groups.slice(0, 1_000));
  const { token: issued } = await token(running, 'fay');
  assert.equal((await hubgate.ask(PAY, { token: issued })).status, 200);
  await slapd.setValues('fay', 'description', groups);
  hubgate.ahead += 61_000;
  await hubgate.reloadAuth();
  await waitFor(async () => (await hubgate.ask(PAY, { token: issued })).status === 401);
  assert.ok(hubgate.log.some(({ msg }) => msg.startsWith('somebody has too many groups')));
  assert.equal((await token(running, 'fay')).status, 401);
  await slapd.setValues('fay', 'description', groups.slice(0, 1_000));
  hubgate.ahead += 61_000;
  await hubgate.reloadAuth();
  await waitFor(async () => (await hubgate.ask(PAY, { token: issued })).status === 200);
});

test('somebody whom the directory renames has the new name; one who is hired again is refused', async (t) => {
  const running = await mirror(t);
  await using state = running.hubgate.openState();
  await slapd.addPerson('gus', PASSWORD);
  assert.equal((await token(running, 'gus')).status, 200);
  const before = await state.person('gus');
  await slapd.renamePerson('gus', 'gusta');
  assert.equal((await token(running, 'gusta')).status, 200);
  assert.equal(await state.person('gus'), undefined);
  assert.equal((await state.person('gusta'))?.stableId, before?.stableId);
  await slapd.removePerson('gusta');
  // The entry is another one, and so is its id.
  await slapd.addPerson('gusta', 'another password');
  assert.equal((await token(running, 'gusta', 'another password')).status, 401);
  assert.equal((await state.person('gusta'))?.stableId, before?.stableId);
});

test('people go on while the directory is away, and new logins are told so', async (t) => {
  const running = await mirror(t);
  const { hubgate } = running;
  const { token: issued } = await token(running, 'zoe');
  await slapd.stop();
  try {
    hubgate.ahead += 61_000;
    await hubgate.reloadAuth();
    assert.equal((await hubgate.ask(PAY, { token: issued })).status, 200);
    assert.equal((await token(running, 'ed')).status, 503);
    assert.equal((await hubgate.ask('/token', { user: 'ana' })).status, 200);
    const text = await metrics(running);
    assert.match(text, /hubgate_directory_up\{login="corp"\} 0/);
    assert.match(text, /hubgate_directory_confirm_age_seconds\{login="corp"\} \d/);
    assert.match(text, /hubgate_people\{state="active"\} \d/);
    assert.match(text, /hubgate_suspended_tokens \d/);
  } finally {
    await slapd.start();
  }
  assert.match(JSON.stringify(hubgate.log), /the directory cannot be asked/);
  assert.doesNotMatch(JSON.stringify(hubgate.log), new RegExp(`${PASSWORD}|${BIND_PASSWORD}`));
});

async function metrics({ hubgate }: Mirror): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${hubgate.adminPort}/metrics`);
  return response.text();
}

test('ten thousand people are confirmed in at most 30 s, and for at most 5 % of the CPU', async (t) => {
  const running = await mirror(t);
  const { hubgate } = running;
  const count = 10_000;
  await slapd.addMany(count);
  {
    using database = new DatabaseSync(hubgate.paths.authState);
    database.exec('BEGIN IMMEDIATE');
    const put = database.prepare('INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
    for (const [name, stableId] of await slapd.stableIds('many-'))
      put.run(name, 'corp', stableId, '[]', 1, null, null, null, null, null);
    database.exec('COMMIT');
  }
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  await hubgate.reloadAuth();
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  t.diagnostic(`${count} people: ${Math.round(took)} ms, CPU ${Math.round((user + system) / 1000)} ms`);
  await using state = hubgate.openState();
  assert.ok((await state.people()).every(({ confirmedAt }) => confirmedAt > 1));
  // A round every 15 minutes.
  assert.ok(took < 30_000, `${took} ms`);
  assert.ok((user + system) / 1000 < 0.05 * 15 * 60_000);
});
