import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import { returnMemory } from '../../src/launch/return-memory.ts';
import { ChangingSet } from '../../src/platform/changing-set.ts';

interface Member {
  readonly name: string;
}

test('a member is in the set until it is removed, and its place is used again', () => {
  const set = new ChangingSet<Member>();
  const [one, two, three] = [{ name: 'one' }, { name: 'two' }, { name: 'three' }];
  const first = set.add(one);
  const second = set.add(two);
  assert.deepEqual([...set], [one, two]);
  set.remove(one, first);
  assert.deepEqual([...set], [two]);
  assert.equal(set.size, 1);
  assert.equal(set.add(three), first);
  assert.deepEqual(new Set(set), new Set([two, three]));
  set.remove(two, second);
  set.remove(three, first);
  assert.equal(set.size, 0);
});

test('a member that is removed twice does not take another one with it', () => {
  const set = new ChangingSet<Member>();
  const one = { name: 'one' };
  const place = set.add(one);
  set.remove(one, place);
  const two = { name: 'two' };
  set.add(two);
  set.remove(one, place);
  assert.deepEqual([...set], [two]);
  assert.equal(set.size, 1);
});

/** The members at a time, and those that come and go. */
const AT_ONCE = 16;
const ALL = 100_000;
/** Each takes some 800 bytes. */
const WORDS = 100;
/** Bytes. With a Map of V8 it is more than ten times as much. */
const MOST_KEPT = 4 * 1024 * 1024;

function oldGeneration(): number {
  const spaces = getHeapSpaceStatistics();
  return spaces.find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? Number.NaN;
}

test('members that have gone need no full garbage collection', () => {
  const set = new ChangingSet<object>();
  const members: [object, number][] = [];
  // Each role ends its start with this, which makes the set itself old.
  returnMemory();
  const before = oldGeneration();
  let most = 0;
  for (let count = 0; count < ALL; count++) {
    const member = { words: new Array<number>(WORDS).fill(count) };
    members.push([member, set.add(member)]);
    const gone = members.length > AT_ONCE ? members.shift() : undefined;
    if (gone !== undefined) set.remove(...gone);
    if (count % 1_000 === 0) most = Math.max(most, oldGeneration());
  }
  assert.ok(most - before < MOST_KEPT, `${most - before} bytes became old`);
});
