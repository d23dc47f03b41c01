import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessDecision } from '../../src/gateway/authorization/authorize.ts';
import { permittedTags, type TagRules } from '../../src/gateway/routes/permitted-tags.ts';

const GRANTED = { kind: 'granted', private: false } as AccessDecision;

function rules(authorizeTag: TagRules['authorizeTag'] = () => GRANTED): TagRules {
  return { authorizeTag, reachesPrivate: false, isPublic: async () => true };
}

const listOf = (tags: unknown) => Buffer.from(JSON.stringify({ name: 'acme/tool', tags }));

test('what is no list of tags, or has more structure than any list, is undefined', async () => {
  for (const text of ['null', '<html>', '[]', '{"tags":{}}', '{"tags":[1]}', '['.repeat(100_000)])
    assert.equal(await permittedTags(Buffer.from(text), rules()), undefined, text.slice(0, 20));
  assert.equal(await permittedTags(listOf(Array(200_002).fill('a')), rules()), undefined);
  const members = Object.fromEntries(Array.from({ length: 40_000 }, (_, at) => [`k${at}`, 1]));
  assert.equal(await permittedTags(listOf([members]), rules()), undefined);
});

test('invariant 18: the decisions about a long list let the event loop do what waits there', async () => {
  let turns = 0;
  const next = () => {
    turns++;
    immediate = setImmediate(next);
  };
  let immediate = setImmediate(next);
  const slowly = () => {
    const end = performance.now() + 0.1;
    while (performance.now() < end);
    return GRANTED;
  };
  const tags = Array.from({ length: 1000 }, (_, at) => `v${at}`);
  const shown = await permittedTags(listOf(tags), rules(slowly));
  clearImmediate(immediate);
  assert.deepEqual(JSON.parse(String(shown)).tags, tags);
  assert.ok(turns >= 5, `${turns} turns`);
});
