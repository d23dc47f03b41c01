import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGroups } from '../../../src/auth/identity/directory/directory.ts';
import { groupNameIn } from '../../../src/auth/identity/directory/ldap.ts';

test('the name of a group is the first value of its DN, with everything that is escaped', () => {
  const names = {
    payments: 'payments',
    'cn=payments,ou=groups,dc=corp': 'payments',
    'CN=payments+ou=x,dc=corp': 'payments',
    'cn = payments , ou=groups': 'payments',
    'cn=pay ments,ou=groups': 'pay ments',
    'cn=pay\\, ments,ou=groups': 'pay, ments',
    'cn=Z\\C3\\BCrich,ou=groups': 'Zürich',
    'cn=': '',
  };
  for (const [dn, name] of Object.entries(names)) assert.equal(groupNameIn(dn), name, dn);
});

test('a group whose name only looks like that of another one is another group', () => {
  const begin = ['\\ ', '\\20', '\u00a0', '\\C2\\A0', '\u3000', '\ufeff', '\\00', '\t'];
  const names = begin.flatMap((one) => [`${one}payments`, `payments${one}`]);
  const others = ['\u200bpayments', 'p\u0430yments', '\uff50ayments', '"payments"', '\\70ayments\\20'];
  for (const name of [...names, ...others])
    assert.notEqual(groupNameIn(`cn=${name},ou=self-service,dc=corp`), 'payments', JSON.stringify(name));
});

test('a group is left out if a database would not give its name back as it was', () => {
  const names = ['pay\0ments', 'payments\ud800', '\udc00', '', 'x'.repeat(257), 7, null];
  assert.deepEqual(readGroups(['payments', ...names, '\u{1f4b3}', 'payments']), ['payments', '\u{1f4b3}']);
});
