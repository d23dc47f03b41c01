import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { forecastOf } from '../../src/commands/budget/print-budget.ts';
import { budget } from '../../src/commands/doctor/server/budget.ts';
import { pathsIn } from '../../src/config/home.ts';
import type { UpstreamOptions } from '../../src/core/upstream/upstream.ts';
import { CORE_STATUS } from '../../src/protocol/core-api.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, TestCore } from '../support/test-core.ts';
import { runVerb, withoutPadding } from './support/terminal.ts';

const HOUR = 3_600_000;
const agoOf = (hours: number) => new Date(Date.now() - hours * HOUR).toISOString();

const COMMON = {
  ...{ time: agoOf(1), action: 'pull', subject: 'user:ana', address: '10.1.1.1', rule: 'base' },
  ...{ repository: 'docker.io/library/nginx', decision: 'allow', status: 200, cache: 'fill' },
};

/** The headers of a pull that a limit applies to. */
const LIMITED = {
  'hubgate-subject-key': 'ana',
  'hubgate-budgets': JSON.stringify([{ limit: 'ci', key: 'ci', pulls: { max: 4, windowMs: 6 * HOUR } }]),
};

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-budget-'));
  await mkdir(path.join(home, 'state'));
  await mkdir(path.join(home, 'config'));
});

afterEach(() => rm(home, { recursive: true }));

function audited(...lines: readonly object[]): Promise<void> {
  const text = lines.map((line) => `${JSON.stringify({ ...COMMON, ...line })}\n`).join('');
  return writeFile(path.join(home, 'state/audit.log'), text);
}

/** A core on the socket of the home. */
async function runningCore(hub: FakeHub, upstream: Partial<UpstreamOptions> = {}): Promise<TestCore> {
  await mkdir(path.join(home, 'run/core'), { recursive: true });
  return TestCore.start(hub, {
    socket: path.join(home, 'run/core/core.sock'),
    directory: path.join(home, 'data'),
    upstreams: [{ host: DOCKER_HUB, url: hub.url, credential: ACCOUNT, ...upstream }],
    clock: Date.now,
  });
}

async function spent(...args: string[]) {
  const { stdout } = await runVerb(['upstream', 'budget', '--home', home, '--json', ...args]);
  const { spent, ...rest } = JSON.parse(stdout);
  const byName = spent.map((one: { name: string; pulls: number; refused: number }) => Object.values(one));
  return { ...rest, spent: byName };
}

test('the pulls that counted are added up by subject, and so are the refused ones', async () => {
  await audited(
    { countedPulls: 2 },
    { countedPulls: 0, cache: 'hit' },
    { subject: 'user:bo', countedPulls: 11, agent: 'says "countedPulls":9' },
    { subject: 'user:bo', countedPulls: 0, status: 429, limit: 'ci' },
    { action: 'token', subject: 'user:zoe', repository: undefined },
    { subject: 'user:old', countedPulls: 7, time: agoOf(9) },
  );
  const found = await spent();
  assert.deepEqual(found.spent, [
    ['user:bo', 11, 1],
    ['user:ana', 2, 0],
  ]);
  assert.equal(found.by, 'subject');
  assert.equal((await spent('--since', '1d')).spent.length, 3);
});

test('they are added up by whatever is asked for', async () => {
  await audited(
    { countedPulls: 1, account: 'main' },
    { countedPulls: 2, repository: 'docker.io/acme/pay', address: '10.1.1.2', rule: 'pay' },
  );
  const firstBy = async (by: string) => (await spent('--by', by)).spent[0][0];
  assert.equal(await firstBy('repository'), 'docker.io/acme/pay');
  assert.equal(await firstBy('address'), '10.1.1.2');
  assert.equal(await firstBy('rule'), 'pay');
  assert.equal(await firstBy('account'), '-');
});

test('a pull counts for each group of its subject', async () => {
  const policy = 'version: 1\ngroups: { web: [ana, bo], ops: [ana, "cert:node-*"] }\nallow: []\n...\n';
  await writeFile(path.join(home, 'config/access.yaml'), policy);
  await audited(
    { countedPulls: 1 },
    { subject: 'user:bo', countedPulls: 5 },
    { subject: 'cert:node-7', countedPulls: 3 },
    { subject: 'anonymous', countedPulls: 2 },
  );
  assert.deepEqual((await spent('--by', 'group')).spent, [
    ['group:web', 6, 0],
    ['group:ops', 4, 0],
    ['no group', 2, 0],
  ]);
});

test('rotated files count, and a line that a crash has cut does not', async () => {
  await audited({ countedPulls: 1 });
  const rotated = path.join(home, 'state/audit.log.1.gz');
  const line = JSON.stringify({ ...COMMON, countedPulls: 4 });
  await writeFile(rotated, gzipSync(`${line}\n${line}\n{"action":"pull","countedPulls":8,"sub`));
  assert.deepEqual((await spent()).spent, [['user:ana', 9, 0]]);
  const before = new Date(Date.now() - 7 * HOUR);
  await utimes(rotated, before, before);
  assert.deepEqual((await spent()).spent, [['user:ana', 1, 0]], 'it was not written to since');
});

test('a line is found wherever the file is cut into pieces', async () => {
  const lines = Array.from({ length: 4000 }, (_, i) => ({ countedPulls: 1, agent: 'x'.repeat(i % 997) }));
  await audited(...lines);
  assert.deepEqual((await spent()).spent, [['user:ana', 4000, 0]]);
});

test('without a core, what the audit log has is printed all the same', async () => {
  await audited({ countedPulls: 3 }, { subject: 'user:bo', countedPulls: 1, status: 429, limit: 'ci' });
  const { code, stdout, stderr } = await runVerb(['upstream', 'budget', '--home', home]);
  assert.equal(code, 1);
  assert.match(stderr, /no core runs here/);
  assert.equal(
    withoutPadding(stdout),
    'SUBJECT  PULLS  PART  REFUSED\nuser:ana  3  75 %  0\nuser:bo  1  25 %  1\n',
  );
});

test('with a core, the quotas and limits are printed, with the forecast, before those who have used them', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', '1', imageOf());
  hub.remaining = 61;
  await using core = await runningCore(hub);
  await core.ask('library/alpine/manifests/1', { headers: LIMITED });
  await audited({ countedPulls: 1 });
  const { code, stdout, stderr } = await runVerb(['upstream', 'budget', '--home', home]);
  assert.equal(code, 0, stderr);
  const day = '(?:\\d{4}-\\d\\d-\\d\\d )?\\d\\d:\\d\\d UTC';
  const expected = [
    'docker\\.io',
    '  quota  61 of 100 pulls left, as docker\\.io says; 1 pull through this mirror in 6 h, and 38 pulls elsewhere',
    `  forecast  never empty at this pace of \\d+\\.?\\d? pulls an hour; full again at ${day}`,
    '  share  1 subject pulled; when less than half is left, each may make 62 pulls while another one wants more',
    '',
    'LIMIT  USED  OF  IN  BUDGETS  REFUSED',
    'ci  1 pull  4 pulls  6 h  1  0',
    '',
    'SUBJECT  PULLS  PART  REFUSED',
    'user:ana  1  100 %  0',
    '',
  ];
  assert.match(withoutPadding(stdout), new RegExp(`^${expected.join('\\n')}$`));
  const found = await spent();
  assert.equal(found.report.accounts[0].quota.elsewhere, 38);
});

test('a stated quota is shown as the quota of an upstream that names none, and so are the counted pulls', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', '1', imageOf());
  hub.isLimited = false;
  await using core = await runningCore(hub, { quota: { pulls: 5000, windowMs: 24 * HOUR } });
  await core.ask('library/alpine/manifests/1', { headers: LIMITED });
  const { stdout } = await runVerb(['upstream', '--home', home]);
  assert.match(stdout, / {2}quota {7}4999 of 5000 pulls in 24 h were left/);
  assert.match(stdout, / {2}pulls {7}1 through this mirror in 24 h\n$/);
  const budget = await runVerb(['upstream', 'budget', '--home', home]);
  assert.match(budget.stdout, /4999 of 5000 pulls left, as hubgate\.yaml states; 1 pull through this mirror/);
});

test('counts that cannot be read switch the limits off, and the status, the report and doctor say so', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  await mkdir(path.join(home, 'data'));
  await writeFile(path.join(home, 'data/budget.db'), 'no database, but long enough to be taken for one');
  await using core = await runningCore(hub);
  const { stdout } = await runVerb(['upstream', 'budget', '--home', home]);
  assert.match(stdout, /^no limit applies: \S+budget\.db cannot be read: /);
  const [finding, ...others] = await limitsByDoctor(core);
  assert.deepEqual(others, []);
  assert.match(
    finding ?? '',
    /^limits and reserves do not apply: \S+budget\.db cannot be read: .*; move that/,
  );
});

test('doctor says which quota will soon be empty at the present pace', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.isLimited = false;
  await using core = await runningCore(hub, { quota: { pulls: 5, windowMs: 24 * HOUR } });
  assert.deepEqual(await limitsByDoctor(core), []);
  for (const name of ['a', 'b', 'c', 'd']) {
    hub.push(`library/${name}`, '1', imageOf());
    await core.ask(`library/${name}/manifests/1`);
  }
  const [finding] = await limitsByDoctor(core);
  assert.match(
    finding ?? '',
    /^upstream docker\.io will have no pulls left at .* UTC, at \d+ pulls an hour; /,
  );
});

/** What the check of the limits finds. */
async function limitsByDoctor(core: TestCore): Promise<string[]> {
  const status = CORE_STATUS.parse(await core.operation('/status'));
  const look = await budget({ paths: pathsIn(home), core: status, clock: Date.now });
  assert.ok('findings' in look);
  return look.findings.map(({ where, what, mend }) => `${where} ${what}; ${mend}`);
}

test('an external core counts nothing, and that is said', async () => {
  await writeFile(path.join(home, 'config/hubgate.yaml'), 'core: { url: "http://localhost:5000" }\n');
  await audited({ cache: 'bypass' });
  const { code, stdout, stderr } = await runVerb(['upstream', 'budget', '--home', home]);
  assert.equal(code, 1);
  assert.equal(stderr, 'hubgate: the core is http://localhost:5000 (core.url): it counts no pulls\n');
  assert.match(stdout, /^no pull has counted, and none was refused, since /);
});

test('a time and a key that do not exist are bad usage', async () => {
  assert.equal((await runVerb(['upstream', 'budget', '--home', home, '--since', 'soon'])).code, 2);
  assert.equal((await runVerb(['upstream', 'budget', '--home', home, '--by', 'moon'])).code, 2);
});

test('the forecast is in words, with the day if that is another one', () => {
  const now = Date.UTC(2026, 10, 29, 12);
  const quota = { source: 'upstream', limit: 100, left: 40, elsewhere: 0, readAt: now } as const;
  const account = { pulls: 60, used: 60, windowMs: 6 * HOUR, quota, subjects: 2, share: 50 };
  const at = (emptyAt: number | null, fullAgainAt: number | null, left = 40) =>
    forecastOf({ ...account, quota: { ...quota, left }, pullsPerHour: 23.4, emptyAt, fullAgainAt }, now);
  assert.equal(
    at(now + 140 * 60_000, now + 6 * HOUR),
    'empty at 14:20 UTC at this pace of 23 pulls an hour; full again at 18:00 UTC',
  );
  assert.equal(
    at(null, now + 12 * HOUR),
    'never empty at this pace of 23 pulls an hour; full again at 2026-11-30 00:00 UTC',
  );
  assert.equal(at(now, now + HOUR, 0), 'empty now, at 23 pulls an hour; full again at 13:00 UTC');
});
