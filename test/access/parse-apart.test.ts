import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { parsePolicy } from '../../src/access/policy-file.ts';
import { PolicyParser } from '../../src/access/policy-parser.ts';
import { deserializingPolicy } from '../../src/access/serialized-policy.ts';
import { runAtOnce } from '../../src/platform/scheduling/time-slicing.ts';
import { FORMS, NOW } from './support/policy.ts';

const parser = new PolicyParser({ forms: FORMS });
after(() => parser[Symbol.dispose]());

function sourcesOf(...rules: string[]) {
  const many = Array.from(
    { length: 2_000 },
    (_, index) => `{ id: r${index}, pull: acme/r${index}, to: ana }`,
  );
  const lines = ['version: 1', 'allow:', ...[...rules, ...many].map((rule) => `  - ${rule}`), '...'];
  return [{ source: 'access.yaml', label: 'access.yaml', text: `${lines.join('\n')}\n` }];
}

const GONE = '{ id: gone, pull: acme/x, to: ana, until: 2020-01-01 }';
const FULL = `{ pull: [acme/y, "**/z-*"], to: ana, from: 10.0.0.0/8, tags: ["1.*"], private: true, because: "a\\nb" }`;

test('a long policy says the same when it is read apart, warnings included, however often it was read before', async () => {
  for (const more of [[GONE], [], [FULL, GONE], [GONE, FULL], [FULL]]) {
    const sources = sourcesOf(...more);
    const apart = await parser.parse(sources, NOW);
    const here = parsePolicy(sources, NOW, { forms: FORMS });
    assert.ok('value' in apart && 'value' in here);
    assert.deepEqual(apart.value.policy.data, here.value.policy.data);
    assert.equal(apart.warnings?.length, more.includes(GONE) ? 1 : 0);
    assert.deepEqual(apart.warnings, here.warnings);
    const { serialized } = apart.value;
    assert.deepEqual(runAtOnce(deserializingPolicy(serialized)).data, here.value.policy.data);
    assert.deepEqual(JSON.parse(serialized), here.value.policy.data);
  }
});

test('what is wrong with it is said as ever, in its place, and the next one is read', async () => {
  const [whole = assert.fail()] = sourcesOf();
  for (const sources of [
    sourcesOf('{ id: r0, pull: acme/x, to: ana }', '{ pull: acme/x, to: ana, tag: x }'),
    sourcesOf('{ pull: acme/x, to: [ana }'),
    sourcesOf('{ pull: $none, to: group:none }'),
    [{ ...whole, text: whole.text.slice(0, -4) }],
    [{ ...whole, text: whole.text.replace('...', 'tests: [{ who: bo, pull: x, expect: allow }]\n...') }],
  ]) {
    const apart = await parser.parse(sources, NOW);
    assert.ok('faults' in apart);
    assert.deepEqual(apart, parsePolicy(sources, NOW, { forms: FORMS }));
    assert.ok('value' in (await parser.parse(sourcesOf(), NOW)));
  }
});

test('while it is read, others have their turn', async () => {
  let isDone = false;
  const reading = parser.parse(sourcesOf(), NOW).then(() => {
    isDone = true;
  });
  let turns = 0;
  for (; !isDone; turns++) await turn();
  await reading;
  assert.ok(turns > 10, `${turns} turns`);
});
