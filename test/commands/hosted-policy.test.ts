/** The commands about policies and tokens, where repositories are hosted. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { runVerb } from './support/terminal.ts';

const CONFIG = `hosted:
  namespaces:
    "acme-internal/**": {}
`;
const POLICY = `version: 1
allow:
  - { id: ci, push: acme-internal/app/**, to: ci-app }
  - { id: dev, pull: acme-internal/**, to: authenticated }
tests:
  - { who: ci-app, push: "acme-internal/app/api:1.4", expect: allow }
...
`;

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
  await mkdir(path.join(home, 'config'));
  await put('hubgate.yaml', CONFIG);
  await put('access.yaml', POLICY);
  await put('users.yaml', 'version: 1\nusers: { ci-app: { service: true } }\n');
});

afterEach(() => rm(home, { recursive: true }));

async function put(name: string, content: string): Promise<void> {
  await writeFile(path.join(home, 'config', name), content, { mode: 0o600 });
}

async function hubgate(...words: string[]) {
  return runVerb([...words, '--home', home]);
}

test('explain and who-can answer for pushes and deletes', async () => {
  const push = await hubgate('access', 'explain', 'ci-app', 'acme-internal/app/api:1.4', '--action', 'push');
  assert.equal(push.code, 0);
  assert.match(push.stdout, /^allow: user:ci-app may push hosted\/acme-internal\/app\/api:1\.4/);
  const pull = await hubgate('access', 'explain', 'ci-app', 'acme-internal/app/api');
  assert.match(pull.stdout, /^allow: user:ci-app may pull hosted\/acme-internal\/app\/api/);
  const refused = await hubgate('access', 'explain', 'ana', 'acme-internal/app/api', '--action', 'push');
  assert.equal(refused.code, 1);
  assert.match(
    refused.stdout,
    /^deny: user:ana may not push .*\n {2}no rule allows it\n(?:.*\n)*.*another action: it is about pull/,
  );
  const who = await hubgate('access', 'who-can', 'acme-internal/app/api', '--action', 'push');
  assert.match(who.stdout, /^ci-app {2}may/);
  assert.equal(who.stdout.trim().split('\n').length, 1);
  assert.equal((await hubgate('access', 'who-can', 'acme-internal/app/api', '--action', 'delete')).code, 1);
});

const RECORDED = {
  ...{ time: '2026-01-01T00:00:00.000Z', address: '10.0.0.1', decision: 'allow', method: 'PUT' },
  ...{ action: 'push', subject: 'service:ci-app', repository: 'hosted/acme-internal/app/api', tag: '1.4' },
};

async function record(...lines: object[]): Promise<void> {
  await mkdir(path.join(home, 'state'), { recursive: true });
  const text = lines.map((line) => `${JSON.stringify({ ...RECORDED, status: 201, ...line })}\n`).join('');
  await writeFile(path.join(home, 'state/audit.log'), text);
}

interface DiffedDecision {
  readonly action: string;
  readonly subject: string;
  readonly repository: string;
  readonly tag: string | null;
  readonly before: { readonly decision: string };
  readonly after: { readonly decision: string };
}

/** Returns what `access diff` says of an edit of the policy. */
async function diff(edited: string, ...more: string[]) {
  const file = path.join(home, 'edited.yaml');
  await writeFile(file, edited);
  const { code, stdout } = await hubgate('access', 'diff', file, ...more, '--json');
  const changes = JSON.parse(stdout);
  assert.equal(code, changes.length === 0 ? 0 : 1);
  return changes.map(({ action, subject, repository, tag, before, after }: DiffedDecision) =>
    [action, subject, repository, tag, before.decision, after.decision].join(' '),
  );
}

const WITHOUT_TESTS = POLICY.slice(0, POLICY.indexOf('tests:'));

test('diff shows an edit that takes the right to push, and one that gives the right to delete', async () => {
  await record({}, { subject: 'user:ana', action: 'pull', status: 200 });
  assert.deepEqual(await diff(POLICY), []);
  const api = 'hosted/acme-internal/app/api 1.4';
  const pullsOnly = `${WITHOUT_TESTS.replace('push: acme', 'pull: acme')}...\n`;
  assert.deepEqual(await diff(pullsOnly), [`push service:ci-app ${api} allow deny`]);
  const deletes = `${WITHOUT_TESTS}  - { id: gone, delete: acme-internal/**, to: ana }\n...\n`;
  assert.deepEqual(await diff(deletes), [`delete user:ana ${api} deny allow`]);
  const freeze = `${WITHOUT_TESTS}deny:\n  - { id: no, push: acme-internal/**, tags: "1*", to: authenticated }\n...\n`;
  assert.deepEqual(await diff(freeze), [`push service:ci-app ${api} allow deny`]);
  const printed = await hubgate('access', 'diff', path.join(home, 'edited.yaml'));
  assert.match(
    printed.stdout,
    /\npush denied +service:ci-app +hosted\/acme-internal\/app\/api:1\.4 +- +ci \(private: true\) → no/,
  );
});

test('diff --all shows who may newly push where nobody has pushed yet', async () => {
  await put('users.yaml', 'version: 1\nusers: { robot: { service: true }, ci-app: { service: true } }\n');
  const edited = `${WITHOUT_TESTS}  - { id: own, push: acme-internal/new/**, to: robot }\n...\n`;
  const changes = await diff(edited, '--all');
  assert.deepEqual(changes, ['push service:robot hosted/acme-internal/new/x  deny allow']);
});

test('diff --all, explain and who-can know what ${user} means for each user', async () => {
  await put('users.yaml', 'version: 1\nusers: { ana: { service: true }, bo: { service: true } }\n');
  const own = 'push: "acme-internal/home/${user}/**"';
  const edited = `${WITHOUT_TESTS}  - { id: own, ${own}, to: authenticated }\n...\n`;
  const changes = (await diff(edited, '--all')).filter((change: string) => change.startsWith('push '));
  assert.deepEqual(changes.toSorted(), [
    'push service:ana hosted/acme-internal/home/ana/x  deny allow',
    'push service:bo hosted/acme-internal/home/bo/x  deny allow',
    'push user:ci-app hosted/acme-internal/home/ci-app/x  deny allow',
  ]);
  await put('access.yaml', edited);
  assert.deepEqual(await diff(edited, '--all'), []);
  const explain = (who: string, repository: string) =>
    hubgate('access', 'explain', who, `acme-internal/home/${repository}`, '--action', 'push');
  assert.match((await explain('ana', 'ana/app')).stdout, /^allow: .*\n(?:.*\n)*.*own/);
  assert.equal((await explain('ana', 'bo/app')).code, 1);
  const { stdout } = await hubgate('access', 'who-can', 'acme-internal/home/bo/app', '--action', 'push');
  assert.match(stdout, /^bo {2}may/);
  assert.equal(stdout.trim().split('\n').length, 1);
});

test('diff and unused take mounts and promotions for pushes', async () => {
  await record({ action: 'promote', tag: '2' }, { action: 'mount', tag: undefined });
  const pullsOnly = `${WITHOUT_TESTS.replace('push: acme', 'pull: acme')}...\n`;
  assert.deepEqual(await diff(pullsOnly), [
    'push service:ci-app hosted/acme-internal/app/api 2 allow deny',
    'push service:ci-app hosted/acme-internal/app/api  allow deny',
  ]);
  const { stdout } = await hubgate('access', 'unused', '--since', '2025-12-01', '--json');
  const unused = JSON.parse(stdout).unused.map(({ id }: { id: string }) => id);
  assert.deepEqual(unused, ['dev']);
});

test('explain does not call a tag that is to be pushed unknown', async () => {
  await record({});
  const explain = (action: string) =>
    hubgate('access', 'explain', 'ci-app', 'acme-internal/app/api:9', '--action', action);
  assert.doesNotMatch((await explain('push')).stdout, /has not been pulled/);
  assert.match(
    (await explain('pull')).stdout,
    /the tag 9 of acme-internal\/app\/api has not been pulled here/,
  );
  const pushed = await hubgate('access', 'explain', 'ci-app', 'acme-internal/app/api:1.4');
  assert.doesNotMatch(pushed.stdout, /has not been pulled/);
});

test('the tests of a policy run with the namespaces of the configuration', async () => {
  assert.match((await hubgate('access', 'test')).stdout, /passed: 1 {2}failed: 0/);
  await put('hubgate.yaml', '');
  const without = await hubgate('access', 'test');
  assert.equal(without.code, 2);
  assert.match(without.stderr, /"acme-internal\/app\/\*\*" is not hosted/);
});

test('a token can be limited to pushes of one repository', async () => {
  const made = await hubgate('token', 'create', 'ci-app', '--push', 'acme-internal/app/api', '--json');
  assert.equal(made.code, 0, made.stderr);
  const [listed] = JSON.parse((await hubgate('token', 'list', '--json')).stdout);
  assert.deepEqual([listed.push, listed.pull], [['hosted/acme-internal/app/api'], null]);
  assert.match((await hubgate('token', 'list')).stdout, /push hosted\/acme-internal\/app\/api/);
  const wrong = await hubgate('token', 'create', 'ci-app', '--push', 'library/alpine');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /"library\/alpine" is not hosted/);
});

test('check refuses a namespace of which Docker Hub’s repositories are mirrored', async () => {
  assert.equal((await hubgate('check')).code, 0);
  const rule = '  - { id: hub, pull: docker.io/acme-internal/tool, to: authenticated }\ntests:';
  await put('access.yaml', POLICY.replace('tests:', rule));
  const ruled = await hubgate('check');
  assert.equal(ruled.code, 2);
  assert.match(
    ruled.stderr,
    /config\/hubgate\.yaml:3:5: "acme-internal\/\*\*" is also a namespace of Docker Hub: the rule "hub" is about .*; host another name, or write shadow: true/,
  );
  await put('hubgate.yaml', CONFIG.replace('{}', '{ shadow: true }'));
  assert.equal((await hubgate('check')).code, 0);
  await put('hubgate.yaml', CONFIG);
  await put('access.yaml', POLICY);
  await mkdir(path.join(home, 'state'));
  const pulled = {
    ...{ time: '2026-01-01T00:00:00.000Z', action: 'pull', subject: 'user:ana', address: '10.0.0.1' },
    ...{ repository: 'docker.io/acme-internal/tool', decision: 'allow', status: 200 },
  };
  await writeFile(path.join(home, 'state/audit.log'), `${JSON.stringify(pulled)}\n`);
  const cached = await hubgate('check');
  assert.equal(cached.code, 2);
  assert.match(cached.stderr, /docker\.io\/acme-internal\/tool has been pulled here/);
});
