import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf } from './support/policy.ts';
import { GOOD_POLICY, POLICY_MISTAKES } from './support/policy-mistakes.ts';

/** Terms of the parser and of the schema library that tell an author nothing. */
const JARGON =
  /mapping|sequence|scalar|flow|node|block|collection|implicit|too small|too big|invalid|expected (?:string|number|boolean|object|array)|unrecognized|zod|regex\b/i;

test('the policy that the mistakes are made in has none', () => {
  assert.deepEqual(faultsOf(GOOD_POLICY), []);
});

for (const { mistake, edit, at, message, fix } of POLICY_MISTAKES) {
  test(`one message says what is wrong, where, and what to write: ${mistake}`, () => {
    const wrong = GOOD_POLICY.replace(edit[0], () => edit[1]);
    assert.notEqual(wrong, GOOD_POLICY);
    assert.deepEqual(faultsOf(wrong), [`access.yaml:${at}: ${message}`]);
    assert.doesNotMatch(message, JARGON);
    const mended = fix[0] === '' ? wrong + fix[1] : wrong.replace(fix[0], () => fix[1]);
    assert.deepEqual(faultsOf(mended), []);
  });
}
