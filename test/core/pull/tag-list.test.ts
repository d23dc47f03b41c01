import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergePage, pageOf } from '../../../src/core/pull/tag-list.ts';

const whole = (...tags: string[]) => ({ tags, isWhole: true });
const part = (...tags: string[]) => ({ tags, isWhole: false });

test('pages that follow one another become one list', () => {
  const first = mergePage(undefined, { ...part('a', 'b'), last: undefined });
  assert.deepEqual(first, part('a', 'b'));
  const second = mergePage(first, { ...part('c', 'd'), last: 'b' });
  assert.deepEqual(second, part('a', 'b', 'c', 'd'));
  assert.deepEqual(mergePage(second, { ...whole('e'), last: 'd' }), whole('a', 'b', 'c', 'd', 'e'));
});

test('a page replaces what lies between its ends, and leaves what is known behind it', () => {
  const known = whole('a', 'b', 'c', 'd');
  assert.deepEqual(mergePage(known, { ...part('a', 'c'), last: undefined }), whole('a', 'c', 'd'));
  assert.deepEqual(mergePage(known, { ...part('b2', 'c'), last: 'a' }), whole('a', 'b2', 'c', 'd'));
  assert.deepEqual(mergePage(known, { ...whole('b'), last: 'a' }), whole('a', 'b'));
  assert.deepEqual(mergePage(known, { ...part('x'), last: undefined }), part('x'));
});

test('a page that does not join the list changes nothing', () => {
  assert.equal(mergePage(part('a', 'b'), { ...whole('z'), last: 'y' }), undefined);
  assert.equal(mergePage(undefined, { ...whole('z'), last: 'y' }), undefined);
});

test('any page can be cut from a list', () => {
  const known = whole('a', 'b', 'c');
  assert.deepEqual(pageOf(known, {}), { tags: ['a', 'b', 'c'] });
  assert.deepEqual(pageOf(known, { n: 2 }), { tags: ['a', 'b'], next: { n: 2, last: 'b' } });
  assert.deepEqual(pageOf(known, { n: 2, last: 'b' }), { tags: ['c'] });
  assert.deepEqual(pageOf(known, { n: 3 }), { tags: ['a', 'b', 'c'] });
  assert.deepEqual(pageOf(known, { last: 'bb' }), { tags: ['c'] });
  assert.deepEqual(pageOf(known, { last: 'z' }), { tags: [] });
  assert.deepEqual(pageOf(part('a', 'b'), { n: 5 }), { tags: ['a', 'b'], next: { n: 5, last: 'b' } });
});
