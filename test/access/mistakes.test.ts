import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GOOD_LIMITS, LIMIT_MISTAKES } from './support/limit-mistakes.ts';
import { faultsOf } from './support/policy.ts';
import { GOOD_POLICY, POLICY_MISTAKES } from './support/policy-mistakes.ts';

/** Terms of the parser and of the schema library that tell an author nothing. */
const JARGON =
  /mapping|sequence|scalar|flow|node|block|collection|implicit|too small|too big|invalid|expected (?:string|number|boolean|object|array)|unrecognized|zod|regex\b/i;

const MISTAKES = [
  ...POLICY_MISTAKES.map((mistake) => ({ good: GOOD_POLICY, ...mistake })),
  ...LIMIT_MISTAKES.map((mistake) => ({ good: GOOD_LIMITS, ...mistake })),
];

test('the policies that the mistakes are made in have none', () => {
  assert.deepEqual([faultsOf(GOOD_POLICY), faultsOf(GOOD_LIMITS)], [[], []]);
});

for (const { good, mistake, edit, at, message, fix } of MISTAKES) {
  test(`one message says what is wrong, where, and what to write: ${mistake}`, () => {
    const wrong = good.replace(edit[0], () => edit[1]);
    assert.notEqual(wrong, good);
    assert.deepEqual(faultsOf(wrong), [`access.yaml:${at}: ${message}`]);
    assert.doesNotMatch(message, JARGON);
    const mended = fix[0] === '' ? wrong + fix[1] : wrong.replace(fix[0], () => fix[1]);
    assert.deepEqual(faultsOf(mended), []);
  });
}
