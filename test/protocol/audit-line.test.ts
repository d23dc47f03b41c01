import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openAudit } from '../../src/gateway/audit/audit.ts';
import { type AuditLine, parseAuditLine } from '../../src/protocol/audit-line.ts';
import { testLog } from '../support/test-log.ts';

const LINE: Required<AuditLine> = {
  ...{
    action: 'pull',
    pull: '5f0c',
    push: '6a1d',
    subject: 'user:ana',
    credential: 'pw_1c',
    address: '10.1.2.3',
  },
  ...{ agent: 'docker/28', method: 'GET', repository: 'docker.io/library/alpine', tag: '3.22' },
  ...{ digest: `sha256:${'a'.repeat(64)}`, scope: 'repository:library/alpine:pull', rule: 'base' },
  ...{ decision: 'allow', status: 200, bytes: 528, cache: 'fill' },
  ...{ upstreamRequests: 3, countedPulls: 1, account: 'main', milliseconds: 12 },
  ...{ limit: 'ci', held: 'limit:ci' },
  ...{ upload: '0123456789abcdef0123456789abcdef', size: 4, from: 'hosted/base/os' },
  ...{ previous: `sha256:${'b'.repeat(64)}`, reason: 'no manifest names it' },
  ...{ login: 'corp', token: 'abc', label: 'laptop', restriction: 'pull library/*' },
};

test('a line that a gateway writes is read with every field', async (context) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-'));
  context.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'audit.log');
  const clock = () => Date.UTC(2026, 0, 1);
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]), clock });
  audit(LINE);
  await audit[Symbol.asyncDispose]();
  const [text = ''] = (await readFile(file, 'utf8')).split('\n');
  assert.deepEqual(parseAuditLine(text), { time: '2026-01-01T00:00:00.000Z', ...LINE });
});

test('a line of an earlier version can be read, without its fields of other names', () => {
  const fields = {
    ...{ time: '2025-11-01T12:00:00.000Z', action: 'pull', subject: 'user:ana', address: '10.1.2.3' },
    ...{ method: 'GET', repository: 'docker.io/library/alpine', decision: 'allow', status: 200 },
    ...{ cache: 'remembered', milliseconds: 1.5 },
  };
  assert.deepEqual(parseAuditLine(JSON.stringify({ level: 30, ...fields, reference: '3.22' })), fields);
});

test('a count of missing lines can be read, and a line that a crash has cut is nothing', () => {
  const lost = {
    time: '2026-01-01T00:00:00.000Z',
    action: 'lost',
    count: 3,
    since: '2026-01-01T00:00:00.000Z',
  };
  assert.deepEqual(parseAuditLine(JSON.stringify({ level: 30, ...lost })), lost);
  const omitted = { ...lost, action: 'omitted', subject: 'anonymous', decision: 'deny', address: '10.1.1.1' };
  assert.deepEqual(parseAuditLine(JSON.stringify(omitted)), omitted);
  for (const text of ['', '{"level":30,"action":"pu', '{"action":"restart","time":"x"}', '[]', 'null'])
    assert.equal(parseAuditLine(text), undefined, text);
});

test('docs/audit.md names every field of a line', async () => {
  const page = await readFile(path.join(import.meta.dirname, '../../docs/audit.md'), 'utf8');
  const [, fields = '', account = ''] = page.split(
    /^## (?:The fields of a line|The account page|No line is .*)$/m,
  );
  // An example names fields too, and explains none.
  const explained = `${fields}${account}`.replace(/^```[\s\S]*?^```$/gm, '');
  const missing = Object.keys({ ...LINE, node: '' }).filter((name) => !explained.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
});
