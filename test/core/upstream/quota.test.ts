import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQuota, parseRetryAfter } from '../../../src/core/upstream/quota.ts';

test('the quota is read with its window and whom it is counted for', () => {
  const headers = {
    'ratelimit-limit': '100;w=21600',
    'ratelimit-remaining': '76;w=3600',
    'docker-ratelimit-source': '192.0.2.1',
  };
  assert.deepEqual(parseQuota(headers, 5), {
    limit: 100,
    remaining: 76,
    window: 3600,
    source: '192.0.2.1',
    readAt: 5,
  });
});

test('without the headers, or with others than the Hub’s, there is no quota', () => {
  assert.equal(parseQuota({}, 0), undefined);
  assert.equal(parseQuota({ 'ratelimit-limit': '100', 'ratelimit-remaining': 'lots' }, 0), undefined);
});

test('Retry-After is seconds or a date', () => {
  assert.equal(parseRetryAfter('60', 0), 60);
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:01:30 GMT', 0), 90);
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:00:00 GMT', 5000), 0);
  assert.equal(parseRetryAfter('soon', 0), undefined);
  assert.equal(parseRetryAfter(undefined, 0), undefined);
});

test('the source of a quota is shown to operators, and so holds visible characters only', () => {
  const headers = { 'ratelimit-limit': '100;w=60', 'ratelimit-remaining': '9;w=60' };
  const sourceOf = (source: string) =>
    parseQuota({ ...headers, 'docker-ratelimit-source': source }, 0)?.source;
  assert.equal(sourceOf('192.0.2.1'), '192.0.2.1');
  for (const source of ['a b', '\u009b31m', 'a\n', '', 'x'.repeat(101)])
    assert.equal(sourceOf(source), undefined);
});
