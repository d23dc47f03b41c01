import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { showAudit } from '../../src/commands/audit.ts';
import { run } from './support/terminal.ts';

const AT = new Date(Date.now() - 3_600_000).toISOString();
const BEFORE = new Date(Date.now() - 48 * 3_600_000).toISOString();
const DIGEST = `sha256:${'a'.repeat(64)}`;

const common = { level: 30, time: AT, action: 'pull', address: '10.1.1.1', method: 'GET', milliseconds: 1 };
const LINES = [
  {
    ...common,
    time: BEFORE,
    subject: 'user:old',
    repository: 'docker.io/library/nginx',
    decision: 'allow',
    status: 200,
  },
  {
    ...common,
    subject: 'user:ana',
    repository: 'docker.io/library/nginx',
    tag: '1.29',
    digest: DIGEST,
    rule: 'base',
    decision: 'allow',
    status: 200,
    bytes: 528,
    cache: 'hit',
  },
  {
    ...common,
    subject: 'cert:node-7',
    repository: 'docker.io/library/nginx',
    tag: 'latest',
    rule: 'pinned',
    decision: 'deny',
    status: 403,
  },
  {
    ...common,
    subject: 'user:ana',
    repository: 'docker.io/acme/pay',
    digest: DIGEST,
    rule: 'pay',
    decision: 'allow',
    status: 200,
    bytes: 9,
    cache: 'fill',
  },
  { ...common, action: 'token', subject: 'anonymous', decision: 'deny', status: 401 },
];

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  await mkdir(path.join(home, 'state'));
  const text = LINES.map((line) => JSON.stringify(line)).join('\n');
  await writeFile(path.join(home, 'state/audit.log'), `${text}\n{"time":"cut by a crash`);
});

afterEach(() => rm(home, { recursive: true }));

const audit = (options: object = {}) =>
  run((terminal) => showAudit({ home, json: false, since: '24h', denied: false, ...options }, {}, terminal));

test('the record is read line by line, and what is wanted of it is printed', async () => {
  const all = await audit();
  assert.equal(
    all.stdout,
    [
      `${AT}  allow  200  user:ana  from 10.1.1.1  pull  docker.io/library/nginx:1.29  rule base  hit  528 bytes`,
      `${AT}  deny   403  cert:node-7  from 10.1.1.1  pull  docker.io/library/nginx:latest  rule pinned`,
      `${AT}  allow  200  user:ana  from 10.1.1.1  pull  docker.io/acme/pay@${DIGEST}  rule pay  fill  9 bytes`,
      `${AT}  deny   401  anonymous  from 10.1.1.1  token`,
      '',
    ].join('\n'),
  );
  const count = async (options: object) => (await audit(options)).stdout.split('\n').length - 1;
  assert.equal(await count({ subject: 'ana' }), 2);
  assert.equal(await count({ subject: 'cert:node-7' }), 1);
  assert.equal(await count({ repository: 'nginx' }), 2);
  assert.equal(await count({ repository: 'nginx:1.29' }), 1);
  assert.equal(await count({ denied: true }), 2);
  assert.equal(await count({ since: '3d' }), 5);
  assert.deepEqual(JSON.parse((await audit({ json: true, repository: 'nginx:latest' })).stdout), LINES[2]);
});

test('no record yet is none; and what cannot be wanted is bad usage', async () => {
  const wrong = await audit({ since: 'ever', subject: 'group:x', repository: 'A:b:c' });
  assert.deepEqual([wrong.code, wrong.stderr.split('\n').length - 1], [2, 3]);
  await rm(path.join(home, 'state/audit.log'));
  assert.deepEqual(await audit(), { code: 0, stdout: '', stderr: '' });
});
