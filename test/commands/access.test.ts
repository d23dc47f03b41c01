import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { parseWrittenSubject } from '../../src/access/subject.ts';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { setPassword } from '../../src/auth/identity/users-file.ts';
import { diffAccess } from '../../src/commands/access/diff.ts';
import { explainAccess } from '../../src/commands/access/explain.ts';
import { testAccess } from '../../src/commands/access/test.ts';
import { listUnusedRules } from '../../src/commands/access/unused.ts';
import { whoCanPull } from '../../src/commands/access/who-can.ts';
import { followPolicyLimits } from '../../src/gateway/authorization/policy-limits.ts';
import { peerAddress } from '../../src/gateway/http/client-address.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { parseFiles } from '../access/support/policy.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, TestCore } from '../support/test-core.ts';
import { run, runVerb, withoutPadding } from './support/terminal.ts';

const POLICY = `version: 1
groups:
  platform: [ana, jin]
  prod-nodes: ["cert:prod-*"]
sets:
  base: [library/**, bitnami/**]
allow:
  - { id: base, pull: $base, to: authenticated }
  - { id: pay, pull: acme/pay-**, to: group:platform, private: true, because: SEC-1 }
  - { id: pay-too, pull: acme/pay-api, to: ana }
  - { id: lab, pull: $base, to: anonymous, from: 10.20.0.0/16 }
  - { id: bo, pull: acme/ledger, to: bo, private: true, until: 2031-01-31 }
deny:
  - { id: pinned, pull: everything, tags: [latest], to: group:prod-nodes, because: "production pins versions" }
  - { id: old, pull: library/centos, to: jin }
tests:
  - { who: ana, pull: acme/pay-api:1.4, expect: allow }
...
`;

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-access-'));
  await mkdir(path.join(home, 'config/access.d'), { recursive: true });
  await mkdir(path.join(home, 'state'));
  await put('access.yaml', POLICY);
  await setPassword(path.join(home, 'config/users.yaml'), 'ana', await HASH);
});

afterEach(() => rm(home, { recursive: true }));

const HASH = hashPassword('of no use here');

async function put(name: string, content: string): Promise<void> {
  await writeFile(path.join(home, 'config', name), content);
}

const explain = (who: string, what: string, options = {}) =>
  run((terminal) => explainAccess(who, what, { home, json: false, ...options }, {}, terminal));

async function explained(who: string, what: string, options = {}) {
  const { code, stdout } = await explain(who, what, { ...options, json: true });
  return { code, ...JSON.parse(stdout) };
}

test('explain says the decision, every rule that matched with its place, and which one decided', async () => {
  const allowed = await explained('ana', 'acme/pay-api:1.4');
  assert.equal(allowed.code, 0);
  assert.deepEqual(
    [allowed.decision, allowed.rule, allowed.private, allowed.because, allowed.visibility],
    ['allow', 'pay', true, 'SEC-1', 'unknown'],
  );
  assert.deepEqual(
    allowed.matched.map(({ id, place }: { id: string; place: string }) => [id, place]),
    [
      ['pay', 'config/access.yaml:9'],
      ['pay-too', 'config/access.yaml:10'],
    ],
  );
  const denied = await explained('cert:prod-7', 'nginx:latest');
  assert.deepEqual([denied.code, denied.decision, denied.rule], [1, 'deny', 'pinned']);
  assert.equal(denied.because, 'production pins versions');
  assert.deepEqual((await explained('nobody', 'acme/x')).rule, null);
  assert.match(
    (await explain('ana', 'nginx')).stdout,
    /^allow: user:ana may pull docker\.io\/library\/nginx, public content only$/m,
  );
  assert.match(
    (await explain('ana', 'nginx')).stdout,
    /^ {2}if it is private, it is answered as if there were no such repository, because none of these rules has private: true; --private says what would be needed$/m,
  );
  assert.match(
    (await explain('ana', 'nginx', { private: true })).stdout,
    /none of these rules has private: true\nWhat would be needed: /,
  );
});

test('explain says which tokens of the subject are limited to something else', async () => {
  const authState = path.join(home, 'state/auth.db');
  assert.deepEqual((await explained('ana', 'nginx')).limitedTokens, []);
  assert.equal(existsSync(authState), false, 'a question makes no state');
  const create = async (...limits: string[]): Promise<string> => {
    const { stdout, stderr } = await runVerb(['token', 'create', 'ana', '--json', ...limits, '--home', home]);
    assert.equal(stderr, '');
    return JSON.parse(stdout).id;
  };
  await create();
  const others = await create('--pull', 'acme/pay-*');
  const network = await create('--from', '10.20.0.0/16');
  const lines = async (...args: Parameters<typeof explain>) =>
    (await explain(...args)).stdout.split('\n').filter((line) => line.startsWith('  not '));
  const ofOthers = `  not with    the token ${others}, which is limited: pull docker.io/acme/pay-*`;
  assert.deepEqual(await lines('ana', 'nginx'), [ofOthers]);
  assert.deepEqual(await lines('ana', 'acme/pay-api'), []);
  assert.deepEqual(await lines('ana', 'acme/pay-api', { from: '10.21.0.1' }), [
    `  not with    the token ${network}, which is limited: from 10.20.0.0/16`,
  ]);
  assert.deepEqual(await lines('jin', 'nginx'), []);
  assert.deepEqual((await explained('ana', 'nginx')).limitedTokens, [
    { id: others, pull: ['docker.io/acme/pay-*'] },
  ]);
  await writeFile(authState, 'this is no database');
  assert.match(
    (await lines('ana', 'nginx')).join(),
    /^ {2}not known {3}whether a limited token refuses it: ./,
  );
  assert.equal((await explain('ana', 'nginx')).code, 0);
});

test('explain says what would be needed: of what is but one condition away, which', async () => {
  const { stdout } = await explain('zoe', 'acme/pay-api');
  assert.match(
    stdout,
    /^deny: user:zoe may not pull docker\.io\/acme\/pay-api; user:zoe is not in users\.yaml$/m,
  );
  assert.match(stdout, /^ {2}allow pay config\/access\.yaml:9 {2}\(SEC-1\): for group:platform$/m);
  assert.match(
    (await explain('anonymous', 'nginx', { from: '10.21.0.1' })).stdout,
    /lab .*: from 10\.20\.0\.0\/16/,
  );
  assert.equal((await explain('anonymous', 'nginx', { from: '10.20.0.1' })).code, 0);
  const late = await explain('bo', 'acme/ledger', { at: '2031-02-01' });
  assert.match(late.stdout, /over since 2031-02-01T00:00:00\.000Z/);
  assert.equal((await explain('bo', 'acme/ledger', { at: '2031-01-31' })).code, 0);
  assert.match((await explain('jin', 'centos')).stdout, /the deny old would have to go/);
});

const LIMITED = POLICY.replace(
  'tests:',
  `limits:
  - { id: each, to: authenticated, each: true, except: group:prod-nodes, upstream: docker.io, pulls: 40/6h }
  - { id: team, to: group:platform, pulls: 60/6h, bytes: 50GiB/24h, because: "ask #platform" }
  - { id: lab-net, to: anonymous, from: 10.20.0.0/16, bytes: 1TiB/7d }
reserve:
  - { id: prod, upstream: docker.io, keep: 12.5%, for: group:prod-nodes }
tests:`,
);

test('explain says which limits count an allowed pull, and what is reserved', async () => {
  await put('access.yaml', LIMITED);
  const { stdout } = await explain('ana', 'nginx');
  assert.match(
    stdout,
    /^ {2}limited by {2}each config\/access\.yaml:17: 40\/6h at docker\.io for each of authenticated except group:prod-nodes$/m,
  );
  assert.match(
    stdout,
    /^ {2}limited by {2}team config\/access\.yaml:18: 60\/6h 50GiB\/24h for group:platform \(ask #platform\)$/m,
  );
  assert.match(
    stdout,
    /^ {2}may not use the reserve prod config\/access\.yaml:21: 12\.5% of docker\.io for group:prod-nodes$/m,
  );
  assert.match((await explain('cert:prod-7', 'nginx:1.29')).stdout, /^ {2}may use {5}the reserve prod /m);
  assert.match(
    (await explain('anonymous', 'nginx', { from: '10.20.0.1' })).stdout,
    /^ {2}limited by {2}lab-net config\/access\.yaml:19: 1TiB\/7d for anonymous from 10\.20\.0\.0\/16$/m,
  );
  // A pull that is denied counts on nothing.
  assert.doesNotMatch((await explain('zoe', 'acme/pay-api')).stdout, /limited|reserve/);
  const { limits, reserves } = await explained('ana', 'nginx');
  assert.deepEqual(limits, [
    {
      ...{
        id: 'each',
        to: ['authenticated'],
        except: ['group:prod-nodes'],
        each: true,
        upstream: ['docker.io'],
      },
      ...{ pulls: { max: 40, windowMs: 21_600_000 }, place: 'config/access.yaml:17', used: null },
    },
    {
      ...{ id: 'team', to: ['group:platform'], each: false, pulls: { max: 60, windowMs: 21_600_000 } },
      ...{ bytes: { max: 50 * 2 ** 30, windowMs: 86_400_000 }, because: 'ask #platform' },
      ...{ place: 'config/access.yaml:18', used: null },
    },
  ]);
  assert.deepEqual(reserves, [
    {
      ...{ id: 'prod', upstream: 'docker.io', keep: 0.125, for: ['group:prod-nodes'] },
      ...{ place: 'config/access.yaml:21', own: false },
    },
  ]);
});

test('what is no subject, image, address or time is bad usage', async () => {
  const wrong = await explain('group:x', 'a:b:c', { from: '10.0.0.0/8' });
  assert.equal(wrong.code, 2);
  assert.match(
    wrong.stderr,
    /"group:x" is no subject.*\n.*"a:b:c" is no repository.*\n.*"10\.0\.0\.0\/8" is no address/,
  );
  assert.match((await explain('ana', 'x', { at: 'soon' })).stderr, /"soon" is no time/);
  await put('access.yaml', POLICY.replace('group:platform, private', 'group:platfrom, private'));
  const broken = await explain('ana', 'x');
  assert.deepEqual(broken, {
    code: 2,
    stdout: '',
    stderr: 'config/access.yaml:9:39: there is no group "platfrom"; did you mean "group:platform"?\n',
  });
});

test('who-can lists who may pull, from where, and who may not although others may', async () => {
  const whoCan = (what: string) => run((terminal) => whoCanPull(what, { home, json: false }, {}, terminal));
  assert.equal(
    (await whoCan('nginx:latest')).stdout,
    [
      'everybody who has logged in  may, public content only  (base config/access.yaml:8)',
      'anonymous  may, public content only, from 10.20.0.0/16  (lab config/access.yaml:11)',
      'cert:prod-*  may not  (pinned config/access.yaml:14)',
      '',
    ].join('\n'),
  );
  assert.equal(
    (await whoCan('acme/pay-web')).stdout.match(/^(ana|jin) {2}may, private content too/gm)?.length,
    2,
  );
  assert.match((await whoCan('centos')).stdout, /^jin {2}may not {2}\(old.*\); not in users\.yaml$/m);
  assert.deepEqual(await whoCan('acme/unheard-of'), { code: 1, stdout: 'nobody\n', stderr: '' });
  const json = JSON.parse(
    (await run((terminal) => whoCanPull('centos', { home, json: true }, {}, terminal))).stdout,
  );
  assert.deepEqual(
    json.map(({ who, decision }: { who: string; decision: string }) => `${who} ${decision}`),
    ['authenticated allow', 'anonymous allow', 'ana allow', 'bo allow', 'jin deny', 'cert:prod-* allow'],
  );
});

test('test runs the tests of a home, or of files before they are put in place', async () => {
  const runTests = (...files: string[]) =>
    run((terminal) => testAccess(files, { home, json: false }, {}, terminal));
  assert.deepEqual(await runTests(), { code: 0, stdout: 'tests: 1  passed: 1  failed: 0\n', stderr: '' });
  const edited = path.join(home, 'edited.yaml');
  await writeFile(
    edited,
    POLICY.replace('to: group:platform, private', 'to: jin, private').replace(
      'ana }\n  - { id: lab',
      'jin }\n  - { id: lab',
    ),
  );
  const failed = await runTests(edited);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /^edited\.yaml:17:5: this test expects allow, but no rule allows it$/m);
  await writeFile(edited, POLICY.slice(0, -4));
  assert.equal((await runTests(edited)).code, 2);
  assert.equal((await runTests(path.join(home, 'nowhere.yaml'))).code, 2);
});

function lineOf(subject: string, repository: string, tag: string, address = '10.1.1.1') {
  const time = new Date(Date.now() - 60_000).toISOString();
  return { time, action: 'pull', subject, repository, tag, address, decision: 'allow', status: 200 };
}

/** The record of the last days, as the gateway writes it. */
async function audit(...pulls: [subject: string, repository: string, tag: string, address?: string][]) {
  const lines = pulls.map((pull) => JSON.stringify(lineOf(...pull)));
  await writeFile(path.join(home, 'state/audit.log'), `${lines.join('\n')}\n{"time":"cut`);
}

test('diff says what an edit changes for every subject and every repository of the record', async () => {
  await audit(
    ['user:ana', 'docker.io/acme/pay-api', '1.4'],
    ['user:bo', 'docker.io/library/nginx', 'latest'],
    ['anonymous', 'docker.io/library/nginx', '1.29', '10.20.1.1'],
    ['anonymous', 'docker.io/library/nginx', '1.29', '10.20.1.2'],
    ['anonymous', 'docker.io/library/nginx', '1.29', '10.30.1.2'],
  );
  const diff = (edited: string, json = false) =>
    run((terminal) => diffAccess(edited, { home, json }, {}, terminal));
  const edited = path.join(home, 'access.yaml');
  await writeFile(edited, POLICY);
  assert.deepEqual(await diff(edited), { code: 0, stdout: 'differences: 0  audited pulls: 5\n', stderr: '' });
  await writeFile(
    edited,
    POLICY.replace('to: group:platform, private: true', 'to: [jin, bo], private: true').replace(
      '10.20.0.0/16',
      '10.30.0.0/16',
    ),
  );
  const { code, stdout } = await diff(edited);
  assert.equal(code, 1);
  assert.deepEqual(withoutPadding(stdout).trimEnd().split('\n').sort(), [
    'CHANGE  SUBJECT  IMAGE  FROM  RULES',
    'allowed  anonymous  docker.io/library/nginx:1.29  10.30.1.2  no rule → lab',
    'allowed  anonymous  docker.io/library/nginx:latest  10.30.1.2  no rule → lab',
    'allowed  user:bo  docker.io/acme/pay-api:1.4  -  no rule → pay (private: true)',
    'denied  anonymous  docker.io/library/nginx:1.29  10.20.1.2  lab → no rule',
    'denied  anonymous  docker.io/library/nginx:latest  10.20.1.2  lab → no rule',
    'differences: 6  audited pulls: 5',
    'private  user:ana  docker.io/acme/pay-api:1.4  -  pay (private: true) → pay-too',
  ]);
  await put('access.d/team.yaml', 'version: 1\nallow: [{ id: team, pull: acme/**, to: bo }]\n...\n');
  const team = path.join(home, 'team.yaml');
  await writeFile(team, 'version: 1\nallow: []\n...\n');
  const parsed = JSON.parse((await diff(team, true)).stdout);
  assert.deepEqual(
    parsed.map(({ subject, repository, before, after }: Record<string, { decision: string }>) => [
      subject,
      repository,
      before?.decision,
      after?.decision,
    ]),
    [['user:bo', 'docker.io/acme/pay-api', 'allow', 'deny']],
  );
});

test('unused lists the rules that no recorded pull needed, and why', async () => {
  await audit(
    ['user:ana', 'docker.io/acme/pay-api', '1.4'],
    ['user:bo', 'docker.io/library/nginx', 'latest'],
  );
  const unused = async (since: string) => {
    const { stdout } = await run((terminal) => listUnusedRules({ home, json: true, since }, {}, terminal));
    return JSON.parse(stdout);
  };
  const { pulls, unused: rules } = await unused('30d');
  assert.equal(pulls, 2);
  assert.deepEqual(
    rules.map(({ id, why }: { id: string; why: string }) => `${id} ${why}`),
    ['pay-too redundant', 'lab unmatched', 'bo unmatched', 'pinned unmatched', 'old unmatched'],
  );
  // What was rotated counts too, and a list of tags needs its rule as a pull does.
  const rotated = { ...lineOf('anonymous', 'docker.io/library/nginx', '1.29', '10.20.1.1'), action: 'tags' };
  await writeFile(path.join(home, 'state/audit.log.1'), `${JSON.stringify(rotated)}\n`);
  const more = await unused('30d');
  assert.deepEqual([more.pulls, more.unused.some(({ id }: { id: string }) => id === 'lab')], [3, false]);
  const { audited, unused: none } = await unused('30s');
  assert.deepEqual([audited, none], [false, []]);
  const empty = await run((terminal) => listUnusedRules({ home, json: false, since: '30s' }, {}, terminal));
  assert.match(empty.stdout, /^nothing has been audited since \S+Z \(.*audit\.log\)/);
  const wrong = await run((terminal) => listUnusedRules({ home, json: true, since: 'ever' }, {}, terminal));
  assert.deepEqual(
    [wrong.code, wrong.stderr],
    [
      2,
      'hubgate: --since "ever" is neither a duration such as 24h nor a time: write 2026-11-01 or 2026-11-01T18:00:00Z\n',
    ],
  );
});

test('explain and who-can say where a grant reaches public content only, and --private asks for more', async () => {
  const nginx = await explained('ana', 'nginx');
  assert.deepEqual([nginx.code, nginx.content], [0, 'public content only']);
  assert.equal((await explained('ana', 'acme/pay-api')).content, 'private content too');
  assert.equal((await explain('ana', 'acme/pay-api', { private: true })).code, 0);
  const asked = await explain('ana', 'nginx', { private: true });
  assert.equal(asked.code, 1);
  assert.match(asked.stdout, /^deny: user:ana may pull docker\.io\/library\/nginx only where it is public$/m);
  assert.match(
    asked.stdout,
    /^What would be needed: a rule with private: true for this repository\. No rule comes close\.$/m,
  );
  await put('access.yaml', POLICY.replace('pull: $base, to: auth', 'pull: everything, to: auth'));
  assert.match(
    (await explain('zoe', 'acme/pay-api', { private: true })).stdout,
    /^What would be needed: a rule with private: true\. In each .*:\n {2}allow pay .*: for group:platform\n$/m,
  );
  await put('access.yaml', POLICY);
  const whoCan = (what: string, json: boolean) =>
    run((terminal) => whoCanPull(what, { home, json, private: true }, {}, terminal));
  assert.deepEqual(await whoCan('nginx', false), { code: 1, stdout: 'nobody\n', stderr: '' });
  const able = JSON.parse((await whoCan('acme/pay-web', true)).stdout);
  assert.deepEqual(
    able.map(({ who, content, known }: Record<string, { user: boolean } | string>) => [who, content, known]),
    [
      ['ana', 'private content too', { user: true, upstream: true, tag: null }],
      ['jin', 'private content too', { user: false, upstream: true, tag: null }],
    ],
  );
});

test('explain and who-can say in the first line which user, upstream and tag are not known', async () => {
  await audit(['user:ana', 'docker.io/library/nginx', '1.29']);
  const [first] = (await explain('zoe', 'quay.io/acme/x:1')).stdout.split('\n');
  assert.equal(
    first,
    'deny: user:zoe may not pull quay.io/acme/x:1; user:zoe is not in users.yaml; quay.io is no upstream of hubgate.yaml; the tag 1 of quay.io/acme/x has not been pulled here',
  );
  assert.deepEqual((await explained('zoe', 'quay.io/acme/x:1')).known, {
    user: false,
    upstream: false,
    tag: false,
  });
  assert.deepEqual((await explained('ana', 'nginx:1.29')).known, { user: true, upstream: true, tag: true });
  const who = await run((terminal) => whoCanPull('quay.io/acme/x', { home, json: false }, {}, terminal));
  assert.equal(who.stdout, 'nobody; quay.io is no upstream of hubgate.yaml\n');
});

test('diff --all compares for all known users and repositories, whoever pulled what', async () => {
  const edited = path.join(home, 'access.yaml');
  await writeFile(
    edited,
    POLICY.replace(
      '{ id: old, pull: library/centos, to: jin }',
      '{ id: old, pull: library/centos, to: nobody }',
    ).replace('private: true, until: 2031-01-31', 'private: false, until: 2031-01-31'),
  );
  const diff = (all: boolean) =>
    run((terminal) => diffAccess(edited, { home, json: false, all }, {}, terminal));
  assert.equal((await diff(false)).code, 0);
  const { code, stdout } = await diff(true);
  assert.equal(code, 1);
  const lines = withoutPadding(stdout)
    .split('\n')
    .filter((line) => !line.includes(':x') && !line.includes(':latest'));
  assert.deepEqual(lines.sort(), [
    '',
    'CHANGE  SUBJECT  IMAGE  FROM  RULES',
    'allowed  user:jin  docker.io/library/centos  -  old → base',
    'denied  user:nobody  docker.io/library/centos  -  base → old',
    'differences: 6  audited pulls: 0',
    'private  user:bo  docker.io/acme/ledger  -  bo (private: true) → bo',
  ]);
});

test('diff says which limits an edit changes, and for whom', async () => {
  await put('access.yaml', LIMITED);
  await audit(['user:ana', 'docker.io/library/nginx', '1'], ['user:bo', 'docker.io/library/nginx', '1']);
  const diff = (edited: string, options = {}) =>
    run((terminal) => diffAccess(edited, { home, json: false, ...options }, {}, terminal));
  const edited = path.join(home, 'access.yaml');
  await writeFile(edited, `# The places have changed.\n${LIMITED}`);
  assert.deepEqual(await diff(edited), { code: 0, stdout: 'differences: 0  audited pulls: 2\n', stderr: '' });
  await writeFile(
    edited,
    LIMITED.replace('pulls: 40/6h', 'pulls: 20/6h')
      .replace('platform: [ana, jin]', 'platform: [bo, jin]')
      .replace('keep: 12.5%', 'keep: 20%')
      .replace(/ {2}- \{ id: lab-net.*\n/, '  - { id: new, to: ana, pulls: 5/1m }\n'),
  );
  const { code, stdout } = await diff(edited);
  assert.equal(code, 1);
  assert.deepEqual(
    stdout.split('\n').filter((line) => /^(?:limit|reserve|differences)/.test(line)),
    [
      'limit each: 40/6h at docker.io for each of authenticated except group:prod-nodes → 20/6h at docker.io for each of authenticated except group:prod-nodes',
      'limit team: 60/6h 50GiB/24h for group:platform (ask #platform); newly for user:bo; no longer for user:ana',
      'limit lab-net: 1TiB/7d for anonymous from 10.20.0.0/16 → none',
      'reserve prod: 12.5% of docker.io for group:prod-nodes → 20% of docker.io for group:prod-nodes',
      'limit new: none → 5/1m for ana; newly for user:ana',
      'differences: 5  audited pulls: 2',
    ],
  );
  const parsed = JSON.parse((await diff(edited, { json: true })).stdout);
  assert.deepEqual(
    parsed.map(({ limit, reserve, before, after, gained, lost }: Record<string, { place: string }>) => [
      limit ?? reserve,
      before?.place,
      after?.place,
      gained,
      lost,
    ]),
    [
      ['each', 'config/access.yaml:17', 'access.yaml:17', [], []],
      ['team', 'config/access.yaml:18', 'access.yaml:18', ['user:bo'], ['user:ana']],
      ['lab-net', 'config/access.yaml:19', undefined, [], []],
      ['prod', 'config/access.yaml:21', 'access.yaml:21', [], []],
      ['new', undefined, 'access.yaml:19', ['user:ana'], []],
    ],
  );
  // Of everything that is known, anonymous clients had the limit of the laboratory.
  assert.match(
    (await diff(edited, { all: true })).stdout,
    /^limit lab-net: .* → none; no longer for anonymous$/m,
  );
});

test('explain says what is used of each limit, if the core runs', async () => {
  await put('access.yaml', LIMITED);
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/nginx', 'latest', imageOf());
  await using core = await TestCore.start(hub);
  await mkdir(path.join(home, 'run/core'), { recursive: true });
  await symlink(path.join(core.directory, 'core.sock'), path.join(home, 'run/core/core.sock'));
  const parsed = parseFiles({ 'access.yaml': LIMITED });
  assert.ok('value' in parsed);
  const limits = followPolicyLimits({ current: parsed.value.policy, [Symbol.dispose]: () => {} }, () => []);
  const subject = parseWrittenSubject('ana') ?? assert.fail();
  const { budgets = '' } = limits.headersFor({
    authentication: { kind: 'authenticated', subject, credential: 'one' },
    upstream: DOCKER_HUB,
    address: peerAddress({ remoteAddress: '10.1.2.3' }),
  });
  const pulled = await core.ask('library/nginx/manifests/latest', {
    headers: { 'hubgate-budgets': budgets },
  });
  assert.equal(pulled.status, 200);
  const used = async (who: string) =>
    (await explained(who, 'nginx')).limits.map(({ id, used }: Record<string, unknown>) => [id, used]);
  assert.deepEqual(await used('ana'), [
    ['each', { pulls: 1, bytes: null }],
    ['team', { pulls: 1, bytes: 0 }],
  ]);
  // Both share the limit of the team, and each has a limit of their own.
  assert.deepEqual(await used('jin'), [
    ['each', { pulls: 0, bytes: null }],
    ['team', { pulls: 1, bytes: 0 }],
  ]);
  assert.match(
    (await explain('ana', 'nginx')).stdout,
    /^ {2}limited by {2}team .*; used: 1 pull and 0 bytes$/m,
  );
});
