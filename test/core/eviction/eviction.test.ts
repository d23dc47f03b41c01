import assert from 'node:assert/strict';
import { test } from 'node:test';
import { autoSize } from '../../../src/core/eviction/cache-limit.ts';
import { planEviction } from '../../../src/core/eviction/eviction.ts';

const HOUR = 3_600_000;
const GIB = 2 ** 30;

test('between the water marks nothing goes; above them, down to the lower one', () => {
  const rules = { maxSize: 1000, unusedFor: 0 };
  assert.equal(planEviction(950, 0, rules).unused.bytes, 0);
  assert.equal(planEviction(951, 0, rules).unused.bytes, 101);
  assert.equal(planEviction(0, 10 * HOUR, { ...rules, unusedFor: HOUR }).unusedBefore, 9 * HOUR);
  assert.equal(planEviction(0, 10 * HOUR, { ...rules, unusedFor: 1 }).unusedBefore, 10 * HOUR - 60_000);
});

test('what was used within the last minute goes only as far as the size would be exceeded', () => {
  const rules = { maxSize: 1000, unusedFor: 0 };
  assert.equal(planEviction(1000, HOUR, rules).unused.before, HOUR - 60_000);
  assert.equal(planEviction(1000, HOUR, rules).inUse.bytes, 0);
  assert.deepEqual(planEviction(1001, HOUR, rules).inUse, { bytes: 51, before: HOUR - 5_000 });
});

test('auto is what the disk has less a reserve, however much of it the cache holds already', () => {
  const total = 100 * GIB;
  for (const used of [0, 30 * GIB, 90 * GIB]) {
    assert.equal(autoSize({ used, free: total - used, total }), 90 * GIB);
  }
  assert.equal(autoSize({ used: 0, free: 1000 * GIB, total: 1000 * GIB }), 980 * GIB);
  assert.equal(autoSize({ used: 30 * GIB, free: 0, total }), 20 * GIB, 'others have taken the rest');
  assert.equal(autoSize({ used: 0, free: 5 * GIB, total }), 0);
});
