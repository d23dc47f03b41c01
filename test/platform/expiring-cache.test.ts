import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpiringCache } from '../../src/platform/expiring-cache.ts';

test('a clock that is set back makes nothing live longer than it was remembered for', () => {
  let now = 1_000_000;
  const cache = new ExpiringCache<{ readonly name: string }>(10, () => now);
  const remember = (name: string) => cache.set(name, { name }, 60_000);
  remember('a');
  now -= 60_000;
  assert.deepEqual(cache.get('a'), { name: 'a' }, 'a small step is no reason to forget');
  now = 1_000_000;
  assert.deepEqual(cache.get('a'), { name: 'a' });
  now -= 60_001;
  assert.equal(cache.get('a'), undefined);
  remember('b');
  now -= 3_600_000;
  assert.equal(cache.remaining('b'), 0);
  remember('c');
  now += 59_999;
  assert.deepEqual(cache.get('c'), { name: 'c' });
  now += 2;
  assert.equal(cache.get('c'), undefined);
});

test('it remembers no more than it may, and the least used goes first', () => {
  const cache = new ExpiringCache<{ readonly name: string }>(3, () => 0);
  for (const name of ['a', 'b', 'c']) cache.set(name, { name }, 60_000);
  cache.get('a');
  cache.set('c', { name: 'other' }, 60_000);
  cache.set('d', { name: 'd' }, 60_000);
  const names = ['a', 'b', 'c', 'd'].map((name) => cache.get(name)?.name);
  assert.deepEqual(names, ['a', undefined, 'other', 'd']);
});

test('an empty one takes no memory for what it may remember', () => {
  const used = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = used();
  const caches = Array.from({ length: 10 }, () => new ExpiringCache<object>(100_000, () => 0));
  assert.ok(used() - before < 5 * 2 ** 20, `${used() - before} bytes`);
  assert.equal(caches.length, 10);
});
