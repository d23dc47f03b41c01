import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';

const TARGET = 'library/alpine/manifests/3.20';
const LONG = 'x'.repeat(64);

/** The budgets of a caller to which `count` limits apply, with names as long as a policy may choose them. */
function budgetsOf(count: number) {
  const allowance = { max: 1_000_000, windowMs: 86_400_000 };
  return Array.from({ length: count }, () => ({
    ...{ limit: LONG, key: `${LONG} ${LONG}` },
    ...{ pulls: allowance, bytes: allowance },
  }));
}

test('the core reads the budgets of a caller with a hundred limits, and refuses a header that it cannot read', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', '3.20', imageOf());
  await using core = await TestCore.start(hub);
  const statusFor = async (headers: Record<string, string>) => (await core.ask(TARGET, { headers })).status;
  assert.equal(await statusFor({ 'hubgate-budgets': JSON.stringify(budgetsOf(100)) }), 200);
  assert.equal(await statusFor({ 'hubgate-reserved': '{"share":0.2,"ids":["prod"]}' }), 200);
  for (const headers of [
    { 'hubgate-budgets': '[{"limit":"ci"}]' },
    { 'hubgate-budgets': 'ci=40/6h' },
    { 'hubgate-budgets': '[{"limit":"ci","key":"ci","pulls":{"max":-1,"windowMs":1}}]' },
    { 'hubgate-reserved': '{"share":2,"ids":[]}' },
  ])
    assert.equal(await statusFor(headers), 400, JSON.stringify(headers));
});
