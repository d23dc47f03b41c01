import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { formatFault } from '../../src/platform/fault.ts';
import { parseFiles } from './support/policy.ts';

const read = (page: string) => readFileSync(path.join(import.meta.dirname, '../../docs', page), 'utf8');

const recipes = [...read('policy-recipes.md').matchAll(/^## (.+)\n\n```yaml\n((?:.*\n)*?)```$/gm)];

test('there are ten recipes', () => {
  assert.equal(recipes.length, 10);
});

for (const [, title = '', text = ''] of [
  ['', 'the example', /```yaml\n((?:.*\n)*?)```$/m.exec(read('policy.md'))?.[1]],
  ...recipes,
]) {
  test(`recipe: ${title}`, () => {
    const parsed = parseFiles({ 'access.yaml': text });
    assert.ok('value' in parsed, 'faults' in parsed ? parsed.faults.map(formatFault).join('\n') : '');
    assert.deepEqual(parsed.warnings, []);
    assert.ok(parsed.value.tests.length > 0);
    // A recipe whose rules are gone fails its tests: they test something.
    const without = text.replace(/^(allow|deny):\n(?: {2}.*\n)+/gm, '');
    assert.ok('faults' in parseFiles({ 'access.yaml': without }));
  });
}
