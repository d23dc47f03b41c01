import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { compilePolicy } from '../../src/access/policy.ts';
import { openCredentialRegistry } from '../../src/auth/identity/credential-registry.ts';
import { decoyOf, hashPassword, passwordCredential } from '../../src/auth/identity/password.ts';
import { createRehashPassword } from '../../src/auth/identity/rehash-password.ts';
import { setPassword } from '../../src/auth/identity/users-file.ts';
import { watchUsers } from '../../src/auth/identity/users-watcher.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { MutableValue } from '../../src/platform/observable-value.ts';
import { testLog } from '../support/test-log.ts';

test('when a hash has been renewed gateways are told its credential, remembered logins hold, and that of before is gone', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-renew-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'users.yaml');
  const log = testLog([]);
  const from = await hashPassword('right');
  const [to, third] = [decoyOf(from), decoyOf(from)];
  await setPassword(file, 'ana', from);
  await using state = openAuthState(path.join(directory, 'auth.db'));
  using users = await watchUsers(file, log);
  using credentials = await openCredentialRegistry({
    ...{ users, state, federations: [], logins: [], log, clock: Date.now },
    policy: new MutableValue(compilePolicy({ version: '1', groups: {}, rules: [], federations: {} })),
  });
  const renewHash = createRehashPassword({ file, users, credentials, state, log });
  const login = (id: string, credential: string) => {
    const times = { createdAt: 0, expiresAt: Date.now() + 60_000, lastUsedAt: null };
    return state.putLogin({ id, user: 'ana', hash: 'x', credential, client: 'docker', ...times });
  };
  await login('now', passwordCredential('ana', from));
  await login('of-before', passwordCredential('ana', third));
  const inForce = () => Object.keys(credentials.current.inForce).filter((id) => id.startsWith('pw_'));

  assert.equal(await renewHash('ana', from, to), to);
  assert.deepEqual(inForce(), [passwordCredential('ana', to)]);
  assert.deepEqual(
    new Map((await state.logins()).map(({ id, credential }) => [id, credential])),
    new Map([
      ['now', passwordCredential('ana', to)],
      ['of-before', passwordCredential('ana', third)],
    ]),
  );
  // Somebody has given another password meanwhile: that one stays.
  assert.equal(await renewHash('ana', from, third), from);
  assert.deepEqual(inForce(), [passwordCredential('ana', to)]);
});
