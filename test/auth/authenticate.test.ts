import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAuthenticate } from '../../src/auth/identity/authenticate.ts';
import { hashPassword } from '../../src/auth/identity/password.ts';

test('many who log in at once with one password cost one hash, and with many passwords are bounded', async () => {
  const users = new Map([['ana', { name: 'ana', passwordHash: await hashPassword('right') }]]);
  const authenticate = await createAuthenticate(() => users, Date.now);
  const verdicts = async (password: (index: number) => string) => {
    const all = Array.from({ length: 100 }, (_, index) => authenticate('ana', password(index)));
    return new Set((await Promise.all(all)).map(({ kind }) => kind));
  };
  assert.deepEqual(await verdicts(() => 'right'), new Set(['authenticated']));
  assert.deepEqual(await verdicts((index) => `wrong ${index}`), new Set(['busy', 'wrong']));
});
