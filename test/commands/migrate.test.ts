import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { readUsers } from '../../src/auth/identity/users-file.ts';
import { importUsers } from '../../src/commands/import-users.ts';
import { migrate } from '../../src/commands/migrate/migrate.ts';
import { ask, parseFiles } from '../access/support/policy.ts';
import { run as runCommand } from './support/terminal.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-migrate-'));
});

afterEach(() => rm(directory, { recursive: true }));

async function run(content: string) {
  const file = path.join(directory, 'config.yml');
  await writeFile(file, content);
  return runCommand((terminal) => migrate(file, terminal));
}

test('an ACL of docker_auth becomes a policy that decides the same, and what could not be carried over is said', async () => {
  const { code, stdout, stderr } = await run(`
users: { "admin": { password: "$2y$05$x" }, "": {} }
acl:
  - { match: { account: "evil" }, actions: [], comment: "no" }
  - { match: { account: "/.+/", name: "\${account}/*" }, actions: ["*"], comment: "own name space" }
  - { match: { account: "", name: "library/*", ip: "10.0.0.0/8" }, actions: ["pull"] }
  - { match: { account: "bo", name: "/^acme\\\\/.*$/" }, actions: ["pull"] }
  - { match: { labels: { group: "dev" } }, actions: ["pull"] }
  - { match: { account: "ci" }, actions: ["push"] }
  - { match: { account: "admin" }, actions: ["*"] }
`);
  assert.equal(stderr, '');
  assert.equal(code, 1);
  assert.match(stdout, /^# entry 4 is left to you: its name is the regular expression/m);
  assert.match(stdout, /^# entry 5 is left to you: it matches labels$/m);
  assert.match(stdout, /^# entry 6 allows no pull$/m);
  assert.match(
    stdout,
    /^# hubgate user add admin: the password of admin is bcrypt, but the hash is not whole$/m,
  );
  const parsed = parseFiles({ 'access.yaml': stdout });
  assert.ok('value' in parsed);
  const { policy } = parsed.value;
  const says = (who: string, what: string, from?: string) =>
    ask(policy, who, what, from === undefined ? {} : { from }).decision;
  assert.equal(says('ana', 'ana/app'), 'allow');
  assert.equal(says('ana', 'jin/app'), 'deny');
  assert.equal(says('evil', 'evil/app'), 'deny');
  assert.equal(says('anonymous', 'nginx', '10.1.1.1'), 'allow');
  assert.equal(says('anonymous', 'nginx', '11.1.1.1'), 'deny');
  assert.equal(says('admin', 'anything/at/all'), 'allow');
});

test('a deny that stood below an allow is pointed out', async () => {
  const { code, stdout } = await run(
    'acl: [{ match: { account: a }, actions: [pull] }, { match: {}, actions: [] }]',
  );
  assert.equal(code, 1);
  assert.match(stdout, /A deny stood below an allow/);
});

test('a name that is a word of the policy here, or a condition that no rule has, is left to the reader', async () => {
  const entry = (match: string, actions = '[pull]') => `  - { match: ${match}, actions: ${actions} }\n`;
  const left = [
    ...['authenticated', 'anonymous', 'everything', 'oidc'].map((name) => `{ account: ${name} }`),
    ...['group:ops', 'cert:node-7', 'oidc:github:acme/pay', 'user:ana', 'a b'].map(
      (name) => `{ account: "${name}" }`,
    ),
    '{ account: ana, service: other }',
    '{ account: ana, type: registry }',
    '{ account: ana, ip: [10.0.0.0/8] }',
  ];
  for (const match of left) {
    const { code, stdout } = await run(`acl:\n${entry(match)}${entry(match, '[]')}`);
    assert.equal(code, 1, match);
    assert.match(stdout, /^# entry 1 is left to you: /m, match);
    assert.match(stdout, /^# entry 2 is left to you: /m, match);
    assert.doesNotMatch(stdout, /^(allow|deny):/m, match);
  }
  const everywhere = entry('{ account: ana, name: everything, service: "*", type: "/.*/" }');
  const { code, stdout } = await run(`acl:\n${everywhere}${entry('{ account: "null", name: "1e3" }')}`);
  assert.equal(code, 0, stdout);
  const parsed = parseFiles({ 'access.yaml': stdout });
  assert.ok('value' in parsed);
  const { policy } = parsed.value;
  assert.equal(ask(policy, 'ana', 'library/everything').decision, 'allow');
  assert.equal(ask(policy, 'ana', 'acme/pay').decision, 'deny');
  assert.equal(ask(policy, 'null', 'library/1e3').decision, 'allow');
});

test('names of files are single words of the lines that are to be pasted', async () => {
  const directoryOfTest = directory;
  directory = path.join(directoryOfTest, "it's; rm -rf b");
  await mkdir(directory);
  const hash = '$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC';
  const users = `users: { ana: { password: "${hash}" }, "$(touch x)": { password: "${hash}" } }`;
  const { stdout } = await run(`${users}\nacl: []\n`);
  directory = directoryOfTest;
  assert.match(stdout, /^# hubgate user import a copy of '\/.*\/it'\\''s; rm -rf b\/config\.yml' without/m);
  assert.match(stdout, /^# "\$\(touch x\)" is no user name/m);
  assert.doesNotMatch(stdout, /user add \$/);
});

test('a comment of somebody else’s cannot become a rule', async () => {
  const { stdout } = await run(
    'acl: [{ match: { account: "/x\\n...\\nallow: [{pull: everything, to: anonymous}]/" }, actions: [pull] }]',
  );
  const parsed = parseFiles({ 'access.yaml': stdout });
  assert.deepEqual('value' in parsed && parsed.value.policy.rules, []);
});

test('what is neither is said so', async () => {
  const neither = await run('version: 0.1\n');
  assert.equal(neither.code, 2);
  assert.match(neither.stderr, /is neither docker_auth's configuration .* nor a registry's/);
  assert.equal((await run('a: [')).code, 2);
});

test('users of docker_auth are imported with their passwords, and its other ways to know people are named', async () => {
  const hash = '$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC';
  const acl = 'acl: [{ match: { account: "" }, actions: [pull] }]';
  const all = `users: { ana: { password: "${hash}" }, bo: { password: "${hash}" }, "": {} }\n${acl}\n`;
  const { code, stdout } = await run(`ldap_auth: { addr: ldap, bind_password: s3cret }\n${all}`);
  assert.equal(code, 1);
  assert.match(stdout, /^# ldap_auth has no equal: people log in by a name and a password of users\.yaml$/m);
  assert.match(
    stdout,
    /^# hubgate user import .*config\.yml, which takes over with their passwords: ana, bo$/m,
  );
  assert.doesNotMatch(stdout, /\$2y|s3cret/);
  assert.equal((await run(all)).code, 0);

  const options = { home: directory };
  const file = path.join(directory, 'config.yml');
  const imported = await runCommand((terminal) => importUsers(file, options, terminal));
  assert.equal(imported.code, 0, imported.stderr);
  const users = await readUsers(path.join(directory, 'config/users.yaml'));
  assert.deepEqual('value' in users && [...users.value].map(([name, user]) => [name, user.passwordHash]), [
    ['ana', hash],
    ['bo', hash],
  ]);
  await writeFile(file, `users:\n  ana: { password: "${hash}" }\n  zoe: {}\n${acl}\n`);
  const refused = await runCommand((terminal) => importUsers(file, options, terminal));
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /config\.yml:3:3: zoe has no password there/);
});

test('what docker_auth grants to nobody, or refuses, is not granted here', async () => {
  const migrated = async (users: string, ...entries: string[]) => {
    const result = await run(`users: ${users}\nacl:\n${entries.map((entry) => `  - ${entry}\n`).join('')}`);
    const parsed = parseFiles({ 'access.yaml': result.stdout });
    assert.ok('value' in parsed, result.stdout);
    const { policy } = parsed.value;
    return { ...result, says: (who: string, what: string) => ask(policy, who, what).decision };
  };
  // Nobody without a name gets in where users has no "".
  const closed = await migrated('{ ana: {} }', '{ match: { name: "acme/x" }, actions: [pull] }');
  assert.deepEqual([closed.says('anonymous', 'acme/x'), closed.says('ana', 'acme/x')], ['deny', 'allow']);
  const open = await migrated('{ ana: {}, "": {} }', '{ match: { name: "acme/x" }, actions: [pull] }');
  assert.equal(open.says('anonymous', 'acme/x'), 'allow');
  const nobody = await migrated('{ ana: {} }', '{ match: { account: "" }, actions: [pull] }');
  assert.deepEqual([nobody.code, nobody.says('anonymous', 'nginx')], [1, 'deny']);
  // Stars stay within one part of a name.
  for (const name of ['*', '**']) {
    const { code, says } = await migrated(
      '{ ana: {} }',
      `{ match: { account: ana, name: "${name}" }, actions: [pull] }`,
    );
    assert.deepEqual(
      [code, says('ana', 'nginx'), says('ana', 'acme/x'), says('ana', 'ghcr.io/a/b')],
      [1, 'allow', 'deny', 'deny'],
    );
  }
  const deep = await migrated('{}', '{ match: { account: ana, name: "acme/**" }, actions: [pull] }');
  assert.deepEqual([deep.says('ana', 'acme/x'), deep.says('ana', 'acme/x/y')], ['allow', 'deny']);
  // The first entry that matches decides, whatever it allows.
  const pushFirst = await migrated(
    '{}',
    '{ match: { account: ci, name: "release/*" }, actions: [push] }',
    '{ match: { account: "/.+/" }, actions: [pull] }',
  );
  assert.deepEqual(
    [
      pushFirst.code,
      pushFirst.says('ci', 'release/x'),
      pushFirst.says('ci', 'acme/x'),
      pushFirst.says('ana', 'release/x'),
    ],
    [1, 'deny', 'allow', 'allow'],
  );
  // What is below a refusal that cannot be written here is left out.
  const refused = await migrated(
    '{}',
    '{ match: { account: bo, name: acme/x }, actions: [pull] }',
    '{ match: { name: "/secret/" }, actions: [] }',
    '{ match: { account: "/.+/" }, actions: [pull] }',
  );
  assert.deepEqual(
    [refused.code, refused.says('ana', 'acme/secret'), refused.says('bo', 'acme/x')],
    [1, 'deny', 'allow'],
  );
  assert.match(
    refused.stdout,
    /^# entry 3 is left to you: entry 2 above it refuses what could not be carried over$/m,
  );
  // One character is not everybody, and a network that is none is no network.
  for (const match of [
    '{ account: "/^.$/" }',
    '{ account: ana, ip: "10.0.0.0/8,192.168.0.0/16" }',
    '{ account: ana, name: "registry.corp:5000/x" }',
  ]) {
    const { code, says } = await migrated('{}', `{ match: ${match}, actions: [pull] }`);
    assert.deepEqual(
      [code, says('ana', 'nginx'), says('ana', 'registry.corp:5000/x')],
      [1, 'deny', 'deny'],
      match,
    );
  }
  // A user may be called what people call everybody.
  const all = await migrated('{}', '{ match: { account: all }, actions: [pull] }');
  assert.deepEqual([all.says('all', 'nginx'), all.says('ana', 'nginx')], ['allow', 'deny']);
});
