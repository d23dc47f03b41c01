/** What an administrator is told about the groups of directories. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import type { StoredPerson } from '../../src/auth/state/stored-person.ts';
import { pathsIn } from '../../src/config/home.ts';
import { runVerb, withoutPadding } from './support/terminal.ts';

const POLICY = `version: 1
allow:
  - { id: base, pull: library/**, to: authenticated }
  - { id: pay, pull: acme/pay, to: "group:corp/payments", private: true }
  - { id: ops, pull: acme/ops, to: ["group:corp/ops", cy], private: true }
...
`;
const LOGIN = { corp: { ldap: { url: 'ldap://127.0.0.1:1', people: 'ou=people,dc=corp' } } };

let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-groups-'));
  await mkdir(path.join(home, 'config'));
  await mkdir(path.join(home, 'state'));
  await writeFile(path.join(home, 'config/access.yaml'), POLICY);
  await writeFile(path.join(home, 'config/hubgate.yaml'), JSON.stringify({ login: LOGIN }));
  await writeFile(path.join(home, 'config/users.yaml'), 'version: 1\nusers: {}\n', { mode: 0o600 });
  const lines = [
    ['zoe', 'acme/pay'],
    ['cy', 'library/alpine'],
  ].map(([name, repository]) =>
    JSON.stringify({
      ...{ time: '2026-11-01T10:00:00.000Z', action: 'pull', subject: `user:${name}` },
      ...{ repository: `docker.io/${repository}`, decision: 'allow', status: 200, address: '10.1.1.1' },
    }),
  );
  await writeFile(path.join(home, 'state/audit.log'), `${lines.join('\n')}\n`);
  await using state = openAuthState(pathsIn(home).authState);
  for (const [name, groups, refusedAt] of [
    ['zoe', ['payments', 'other'], null],
    ['cy', [], null],
    ['left', ['payments'], 1],
  ] as const)
    await state.putPerson({
      ...{ name, login: 'corp', stableId: `id-${name}`, groups: [...groups], confirmedAt: 1, refusedAt },
      ...{ refresh: null, sid: null, linkedAt: null, namedAt: null },
    } satisfies StoredPerson);
});

after(() => rm(home, { recursive: true }));

const access = (...args: string[]) => runVerb(['access', ...args, '--home', home]);

async function linesOf(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await access(...args);
  assert.equal(stderr, '');
  return withoutPadding(stdout).trimEnd().split('\n');
}

test('explain knows the groups of a person, and can be told others', async () => {
  const known = await access('explain', 'zoe', 'acme/pay', '--json');
  assert.deepEqual([known.code, JSON.parse(known.stdout).groups], [0, ['corp/payments']]);
  assert.equal(JSON.parse(known.stdout).known.user, true);
  assert.equal((await access('explain', 'left', 'acme/pay')).code, 1);
  const without = await access('explain', 'cy', 'acme/pay');
  assert.equal(without.code, 1);
  assert.doesNotMatch(without.stdout, /users\.yaml/);
  const asMember = await access('explain', 'cy', 'acme/pay', '--group', 'corp/payments');
  assert.equal(asMember.code, 0);
  assert.match(
    asMember.stdout,
    /^allow: user:cy may pull docker\.io\/acme\/pay, .*\n {2}decided by {2}allow pay/,
  );
  // Somebody who has never logged in may be asked about too.
  assert.equal((await access('explain', 'new', 'acme/pay', '--group', 'corp/payments')).code, 0);
});

test('a group that nobody can have is bad usage', async () => {
  for (const [group, words] of [
    ['payments', '"payments" is no group of a directory; write LOGIN/NAME, such as corp/payments'],
    ['crop/payments', '"crop" is no login of hubgate.yaml; did you mean "corp/payments"?'],
  ] as const) {
    const { code, stderr } = await access('explain', 'zoe', 'acme/pay', '--group', group);
    assert.deepEqual([code, stderr], [2, `hubgate: ${words}\n`]);
  }
});

test('who-can answers for a group as a whole, and says who of it has logged in', async () => {
  assert.match(
    (await linesOf('who-can', 'acme/pay')).join('\n'),
    /^group:corp\/payments {2}may, .*; has logged in: zoe$/,
  );
  const [group = '', cy = ''] = await linesOf('who-can', 'acme/ops');
  assert.match(group, /^group:corp\/ops {2}may, .*; nobody of it has logged in yet$/);
  assert.match(cy, /^cy {2}may, /);
  assert.doesNotMatch(cy, /users\.yaml/);
  const { stdout } = await access('who-can', 'acme/pay', '--json');
  assert.deepEqual(JSON.parse(stdout)[0].members, ['zoe']);
});

test('diff says what an edit changes for people by their groups, and for members who have not come yet', async () => {
  const edited = path.join(home, 'edited.yaml');
  await writeFile(edited, POLICY.replace('group:corp/payments', 'group:corp/other'));
  // zoe has both groups, so that nothing changes for zoe.
  assert.deepEqual(
    await linesOf('diff', edited),
    ['differences: 0 audited pulls: 2'].map((line) => line.replace('0 ', '0  ')),
  );
  await writeFile(edited, POLICY.replace('group:corp/payments', 'group:corp/ops'));
  assert.deepEqual((await linesOf('diff', edited)).slice(0, 2), [
    'CHANGE  SUBJECT  IMAGE  FROM  RULES',
    'denied  user:zoe  docker.io/acme/pay  -  pay (private: true) → no rule',
  ]);
  const all = await linesOf('diff', '--all', edited);
  for (const line of [
    'denied  user:zoe  docker.io/acme/pay  -  pay (private: true) → no rule',
    'denied  user:(somebody in corp/payments)  docker.io/acme/pay  -  pay (private: true) → no rule',
    'allowed  user:(somebody in corp/ops)  docker.io/acme/pay  -  no rule → pay (private: true)',
  ])
    assert.ok(all.includes(line), all.join('\n'));
  assert.ok(!all.some((line) => line.includes('user:left')));
});

test('a rule that a person needed by a group is not unused', async () => {
  const { stdout } = await access('unused', '--since', '2026-01-01', '--json');
  const unused = JSON.parse(stdout).unused as { id: string }[];
  assert.deepEqual(
    unused.map((rule) => JSON.stringify(rule).match(/"(base|pay|ops)"/)?.[1]),
    ['ops'],
  );
});
