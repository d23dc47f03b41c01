import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { warnOfExpiry } from '../../src/auth/identity/expiring-tokens.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';

const DAY = 24 * 60 * 60_000;

test('that a token ends soon is said once a day, however often auth is started', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-expiring-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'auth.db');
  let now = Date.now();
  const put = async (id: string) => {
    await using state = openAuthState(file);
    await state.putToken({
      ...{ id, owner: 'ci', ownerId: null, hash: 'ab', pull: null, from: null },
      ...{
        createdAt: now,
        expiresAt: now + 5 * DAY,
        lastUsedAt: null,
        lastUsedFrom: null,
        warnedAt: null,
        label: null,
      },
    });
  };
  /** A start of auth, which says something of the last token at the latest. */
  const startSays = async (last: string) => {
    const log: LoggedLine[] = [];
    await using state = openAuthState(file);
    await using _ = warnOfExpiry(state, () => now, testLog(log));
    await waitFor(() => log.some(({ id }) => id === last));
    return log.map(({ id }) => id);
  };
  await put('t1');
  assert.deepEqual(await startSays('t1'), ['t1']);
  now += DAY / 2;
  await put('t2');
  assert.deepEqual(await startSays('t2'), ['t2']);
  now += DAY / 2;
  await put('t3');
  assert.deepEqual(await startSays('t3'), ['t1', 't3']);
});
