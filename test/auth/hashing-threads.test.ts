import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { HashingThreads } from '../../src/auth/identity/hashing-threads.ts';
import { verifyNow } from '../../src/auth/identity/password.ts';

const PARAMETERS = { memory: 19 * 2 ** 20, passes: 2 };
const LINUX_ONLY = { skip: process.platform !== 'linux' && 'only Linux has a priority for each thread' };

/** The nice values of this process's threads, by proc_pid_stat(5). */
function niceValues(): Map<string, number> {
  const threads = readdirSync('/proc/self/task').map((thread): [string, number] => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
    return [thread, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])];
  });
  return new Map(threads);
}

test('invariant 14: passwords are hashed at a lower priority than everything else', LINUX_ONLY, async () => {
  using threads = new HashingThreads();
  const before = new Set(niceValues().keys());
  const hashes = await Promise.all(['one', 'other'].map((password) => threads.hash(password, PARAMETERS)));
  const own = getPriority();
  const lower = [...niceValues()].filter(([, nice]) => nice > own);
  // One thread for each of the two tasks, and none that was there before.
  assert.equal(lower.length, 2);
  for (const [thread, nice] of lower) {
    assert.ok(!before.has(thread));
    assert.equal(nice, Math.min(19, own + 5));
  }
  assert.equal(await threads.verify(hashes[0] ?? '', 'one'), true);
  assert.equal(await threads.verify(hashes[1] ?? '', 'one'), false);
  // The threads are used again.
  assert.equal([...niceValues().values()].filter((nice) => nice > own).length, 2);
});

test('a bcrypt hash is verified, and what is no hash is a failure of that task alone', async () => {
  using threads = new HashingThreads();
  const hash = await bcrypt.hash('right', 4);
  assert.equal(await threads.verify(hash, 'right'), true);
  await assert.rejects(threads.verify('no hash', 'right'));
  assert.equal(await threads.verify(hash, 'wrong'), false);
});

test('hashes of other implementations are verified, with their own order of parameters and lengths', () => {
  const hashes = [
    // A test vector of the reference implementation: `argon2 somesalt -id -t 2 -m 16 -p 1`.
    '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
    // The package argon2 for Node wrote these.
    '$argon2id$v=19$m=8192,p=4,t=2$lQxROC9DxOu6uNGs7wg6+g$cqGFad0UnbntyIwRIipRXg',
    '$argon2id$v=19$m=8192,p=1,t=3$GcZQnQOP7/cjbOv5xza5Uw$Q77JQ8s8ARvrgj7fww0hzu3LLgsGSkMsLuFynnVdbEc',
  ];
  for (const hash of hashes) {
    assert.ok(verifyNow(hash, 'password'), hash);
    assert.ok(!verifyNow(hash, 'Password'), hash);
  }
});
