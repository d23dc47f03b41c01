import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeFreshness } from '../../../src/core/freshness/freshness.ts';

test('an answer is fresh, then stale, then expired; and never fresh by a clock that was set back', () => {
  const rules = { freshFor: 10, staleFor: 5 };
  const ages = [0, 9, 10, 14, 15, -1];
  assert.deepEqual(
    ages.map((age) => judgeFreshness(100, 100 + age, rules)),
    ['fresh', 'fresh', 'stale', 'stale', 'expired', 'stale'],
  );
});
