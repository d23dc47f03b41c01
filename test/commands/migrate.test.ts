import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
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
  assert.match(stdout, /^# hubgate user add admin$/m);
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

test('a comment of somebody else’s cannot become a rule', async () => {
  const { stdout } = await run(
    'acl: [{ match: { account: "/x\\n...\\nallow: [{pull: everything, to: anonymous}]/" }, actions: [pull] }]',
  );
  const parsed = parseFiles({ 'access.yaml': stdout });
  assert.deepEqual('value' in parsed && parsed.value.policy.rules, []);
});

test('the users of a registry with htpasswd may pull what is public', async () => {
  await writeFile(path.join(directory, 'htpasswd'), 'ana:$2y$05$x\nbo:$2y$05$y\n');
  const { code, stdout } = await run(
    'version: 0.1\nauth: { htpasswd: { realm: r, path: htpasswd } }\nproxy: { remoteurl: "https://x" }',
  );
  assert.equal(code, 0);
  assert.match(stdout, /^# hubgate user add ana\n# hubgate user add bo$/m);
  assert.ok('value' in parseFiles({ 'access.yaml': stdout }));
});

test('what is neither is said so', async () => {
  const neither = await run('version: 0.1\n');
  assert.equal(neither.code, 2);
  assert.match(neither.stderr, /neither docker_auth's "acl" nor a registry's "auth\.htpasswd"/);
  assert.equal((await run('a: [')).code, 2);
});
