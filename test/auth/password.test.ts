import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomPassword, whyNoPassword } from '../../src/auth/identity/password.ts';

test('a new password has at least 10 characters, and no more than a login may have', () => {
  for (const short of ['x', '123456789', '🦄'.repeat(9)])
    assert.match(whyNoPassword(short) ?? '', /is too short: it must have at least 10 characters/, short);
  assert.match(whyNoPassword('') ?? '', /is empty/);
  assert.match(whyNoPassword('x'.repeat(1025)) ?? '', /is too long/);
  for (const good of ['1234567890', '🦄'.repeat(10), 'x'.repeat(1024), randomPassword()])
    assert.equal(whyNoPassword(good), undefined, good);
});
