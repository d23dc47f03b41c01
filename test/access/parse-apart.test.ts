import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { parseApart } from '../../src/access/parse-apart.ts';
import { parsePolicy } from '../../src/access/policy-file.ts';
import { NOW } from './support/policy.ts';

function sourcesOf(...rules: string[]) {
  const many = Array.from(
    { length: 2_000 },
    (_, index) => `{ id: r${index}, pull: acme/r${index}, to: ana }`,
  );
  const lines = ['version: 1', 'allow:', ...[...many, ...rules].map((rule) => `  - ${rule}`), '...'];
  return [{ source: 'access.yaml', label: 'access.yaml', text: `${lines.join('\n')}\n` }];
}

const GONE = '{ id: gone, pull: acme/x, to: ana, until: 2020-01-01 }';

test('a long policy says the same when it is read apart, warnings included', async () => {
  const sources = sourcesOf(GONE);
  const apart = await parseApart(sources, NOW);
  const here = parsePolicy(sources, NOW);
  assert.ok('value' in apart && 'value' in here);
  assert.deepEqual(apart.value.data, here.value.policy.data);
  assert.equal(apart.warnings?.length, 1);
  assert.deepEqual(apart.warnings, here.warnings);
});

test('what is wrong with it is said as ever', async () => {
  const sources = sourcesOf('{ id: r0, pull: acme/x, to: ana }');
  const apart = await parseApart(sources, NOW);
  assert.ok('faults' in apart);
  assert.deepEqual(apart, parsePolicy(sources, NOW));
});

test('while it is read, others have their turn', async () => {
  let isDone = false;
  const reading = parseApart(sourcesOf(), NOW).then(() => {
    isDone = true;
  });
  let turns = 0;
  for (; !isDone; turns++) await turn();
  await reading;
  assert.ok(turns > 10, `${turns} turns`);
});
