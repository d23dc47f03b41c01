import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomIds } from '../../src/platform/random-ids.ts';

test('no two ids are the same, although their bytes are taken together', () => {
  const ids = new RandomIds(8);
  const made = Array.from({ length: 5000 }, () => ids.next());
  assert.equal(new Set(made).size, made.length);
  for (const id of made) assert.match(id, /^[0-9a-f]{16}$/);
});
