import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { followCredentials } from '../../src/auth/identity/live-credentials.ts';
import { followUsers } from '../../src/auth/identity/live-users.ts';
import { decoyOf, hashPassword, passwordCredential } from '../../src/auth/identity/password.ts';
import { createRenewHash } from '../../src/auth/identity/renew-hash.ts';
import { setPassword } from '../../src/auth/identity/users-file.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { testLog } from '../support/test-log.ts';

test('when a hash has been renewed gateways are told its credential, and that of before is gone', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-renew-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'users.yaml');
  const log = testLog([]);
  const from = await hashPassword('right');
  const [to, third] = [decoyOf(from), decoyOf(from)];
  await setPassword(file, 'ana', from);
  await using state = openAuthState(path.join(directory, 'auth.db'));
  using users = await followUsers(file, log);
  using credentials = await followCredentials(users, state, log);
  const renewHash = createRenewHash({ file, users, credentials, log });
  const inForce = () => Object.keys(credentials.current.inForce).filter((id) => id.startsWith('pw_'));

  assert.equal(await renewHash('ana', from, to), to);
  assert.deepEqual(inForce(), [passwordCredential('ana', to)]);
  // Somebody has given another password meanwhile: that one stays.
  assert.equal(await renewHash('ana', from, third), from);
  assert.deepEqual(inForce(), [passwordCredential('ana', to)]);
});
