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
