import assert from 'node:assert/strict';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { followSigningKeys, KeyOverlap } from '../../src/auth/token/signing-key.ts';
import { ensureSigningKey, rotateSigningKey } from '../../src/auth/token/signing-key-file.ts';
import { testLog } from '../support/test-log.ts';

/** Milliseconds that are longer than the life of any token. */
const LATER = 421_000;
const HOURS = 60 * 60 * 1000;

test('a key that was rotated while the clock was ahead counts no longer than another one', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-keys-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'key.pem');
  await ensureSigningKey(file);
  await rotateSigningKey(file);
  const ahead = new Date(Date.now() + 10 * HOURS);
  await utimes(path.join(directory, 'key.previous.pem'), ahead, ahead);
  let wall = ahead.getTime();
  let monotonic = 0;
  const overlap = new KeyOverlap(() => monotonic);
  using keys = await followSigningKeys(file, testLog([]), () => wall, overlap);
  assert.equal(keys.current.verifying.length, 2);
  // From here on the clock is right again.
  wall -= 10 * HOURS;
  await keys.look();
  assert.equal(keys.current.verifying.length, 2);
  monotonic += LATER;
  wall += LATER;
  await keys.look();
  assert.equal(keys.current.verifying.length, 1);
});

test('the overlap is counted from the rotation, and not from the start', () => {
  const overlap = new KeyOverlap(() => 0);
  assert.equal(overlap.left(1_000_000, 1_000_000 + LATER) > 0, false);
  assert.equal(new KeyOverlap(() => 0).left(1_000_000, 1_100_000), 320_000);
});
