/**
 * Tests that audit lines about clients without an identity are bounded, and that omitted lines are counted:
 * invariant 20.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openAudit } from '../../src/gateway/audit/audit.ts';
import { RefusalBudget } from '../../src/gateway/audit/refusal-budget.ts';
import type { ClientAddress } from '../../src/gateway/http/client-address.ts';
import { testLog } from '../support/test-log.ts';

const sum = (counts: readonly { readonly count: number }[]) =>
  counts.reduce((total, { count }) => total + count, 0);

test('an address has its refusals recorded up to a rate; the others have theirs, up to a rate in total', () => {
  let now = 0;
  const budget = new RefusalBudget(() => now);
  const take = (address: string, times: number) =>
    Array.from({ length: times }, () => budget.take(address)).filter(Boolean).length;
  assert.equal(take('10.1.1.1', 1000), 60);
  assert.equal(take('10.1.1.2', 10), 10);
  now = 2_000;
  assert.equal(take('10.1.1.1', 1000), 10);
  const many = Array.from({ length: 10_000 }, (_, at) => budget.take(`2001:db8::${at.toString(16)}`));
  assert.ok(many.filter(Boolean).length <= 400);
  assert.equal(budget.omitted, 940 + 990 + many.filter((taken) => !taken).length);
  const counts = budget.takeOmitted();
  assert.ok(counts.length <= 101);
  assert.equal(sum(counts), budget.omitted);
  assert.deepEqual(counts[0], { address: '10.1.1.1', count: 1930, since: 0 });
  assert.equal(counts.filter(({ address }) => address === undefined).length, 1);
  assert.deepEqual(budget.takeOmitted(), []);
});

test('refusals of nobody beyond that are one line for an address; who is known, and what is allowed, has a line always', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'audit.log');
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]), clock: () => 0 });
  const common = {
    action: 'pull',
    address: '10.1.1.1' as ClientAddress,
    method: 'GET',
    milliseconds: 1,
  } as const;
  for (let at = 0; at < 1000; at++) {
    audit({ ...common, subject: 'anonymous', decision: 'deny', status: 401 });
    audit({ ...common, subject: 'user:ana', credential: 'pw_1', decision: 'deny', status: 403 });
    audit({ ...common, subject: 'anonymous', decision: 'allow', status: 200 });
  }
  assert.equal(audit.state().omitted, 940);
  await audit[Symbol.asyncDispose]();
  const lines = (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const count = (subject: string, decision: string) =>
    lines.filter((line) => line.subject === subject && line.decision === decision && !('count' in line))
      .length;
  assert.equal(count('anonymous', 'deny'), 60);
  assert.equal(count('user:ana', 'deny'), 1000);
  assert.equal(count('anonymous', 'allow'), 1000);
  const time = new Date(0).toISOString();
  assert.deepEqual(lines.at(-1), {
    ...{ level: 30, time, action: 'omitted', subject: 'anonymous', address: '10.1.1.1' },
    ...{ decision: 'deny', count: 940, since: time },
  });
});
