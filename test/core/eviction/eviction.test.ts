import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planEviction } from '../../../src/core/eviction/eviction.ts';

const HOUR = 3_600_000;

test('between the water marks nothing goes; above them, down to the lower one', () => {
  const rules = { maxSize: 1000, unusedFor: 0 };
  assert.equal(planEviction(950, 0, rules).bytes, 0);
  assert.equal(planEviction(951, 0, rules).bytes, 101);
  assert.equal(planEviction(0, 10 * HOUR, { ...rules, unusedFor: HOUR }).unusedBefore, 9 * HOUR);
  assert.equal(planEviction(0, 10 * HOUR, { ...rules, unusedFor: 1 }).unusedBefore, 10 * HOUR - 60_000);
});

test('nothing goes that was used within the last minute', () => {
  assert.equal(planEviction(1000, HOUR, { maxSize: 1, unusedFor: 0 }).usableBefore, HOUR - 60_000);
});
