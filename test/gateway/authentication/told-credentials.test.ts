import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsingCredentials } from '../../../src/gateway/authentication/credential-snapshot.ts';
import { runAtOnce } from '../../../src/platform/scheduling/time-slicing.ts';

test('credentials are read one by one, so that ten thousand are no long turn', () => {
  const inForce = Object.fromEntries(
    Array.from({ length: 100 }, (_, index) => [`id${index}`, { subject: `user:u${index}` }]),
  );
  const steps = parsingCredentials(JSON.stringify({ inForce, revokedCertificates: [] }));
  let count = 0;
  let last = steps.next();
  for (; !last.done; last = steps.next()) count++;
  assert.equal(count, 100);
  assert.equal(last.value.inForce.get('id99')?.subject, 'user:u99');
});

test('an answer with one credential that is none is no answer', () => {
  const wrong = { inForce: { good: { subject: 'user:ana' }, bad: { subject: 7 } }, revokedCertificates: [] };
  assert.throws(() => runAtOnce(parsingCredentials(JSON.stringify(wrong))), /subject/);
});
