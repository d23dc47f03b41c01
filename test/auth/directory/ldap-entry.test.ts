import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLocked } from '../../../src/auth/identity/directory/ldap-entry.ts';

const NOW = Date.UTC(2026, 0, 31);
/** The same moment, as Active Directory writes it. */
const NOW_OF_AD = 134_142_912_000_000_000n;

test('an account of Active Directory ends when accountExpires says so', () => {
  const ends = (value: bigint | string) => isLocked({ accountExpires: String(value) }, NOW);
  assert.deepEqual([ends(NOW_OF_AD), ends(NOW_OF_AD - 1n), ends(NOW_OF_AD + 10_000n)], [true, true, false]);
  assert.deepEqual([ends('1'), ends('131000000000000000')], [true, true]);
  assert.equal(isLocked({ ACCOUNTEXPIRES: [String(NOW_OF_AD)] }, NOW), true);
});

test('an account whose accountExpires is 0, the largest number, or missing does not end', () => {
  for (const value of ['0', '9223372036854775807', [], ''])
    assert.equal(isLocked({ accountExpires: value }, NOW), false, String(value));
  assert.equal(isLocked({}, NOW), false);
});

test('an account is locked by each of the ways of directories', () => {
  for (const entry of [
    { userAccountControl: '514' },
    { pwdAccountLockedTime: '000001010000Z' },
    { nsAccountLock: 'TRUE' },
  ])
    assert.equal(isLocked(entry, NOW), true, JSON.stringify(entry));
  for (const entry of [
    { userAccountControl: '512' },
    { pwdAccountLockedTime: '20260101000000Z' },
    { nsAccountLock: 'FALSE' },
  ])
    assert.equal(isLocked(entry, NOW), false, JSON.stringify(entry));
});
