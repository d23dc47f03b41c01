import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const SRC = path.join(import.meta.dirname, '../../../src');

/** Everything that makes a step: a statement, and a function that gets the statements. */
const STEP = /(?:\w+\.)*(?:select|change)\.\w+(?:\.\w+)?\.(?:get|all|run)\(|this\.#\w+\(\s*statements\b/g;

test('no step of the hosted repositories is made and not taken, because it would silently do nothing', () => {
  const files = globSync('core/{hosted,cluster}/**/*.ts', { cwd: SRC });
  const found = files.flatMap((file) => {
    const text = readFileSync(path.join(SRC, file), 'utf8');
    return [...text.matchAll(STEP)].map(({ 0: step, index }) => ({
      where: `${file}:${text.slice(0, index).split('\n').length} ${step}`,
      isTaken: /(?:yield\*|=>|return)[^;{}]*$/.test(text.slice(0, index)),
    }));
  });
  assert.ok(found.length > 80, `${found.length} steps were found`);
  assert.deepEqual(
    found.filter(({ isTaken }) => !isTaken).map(({ where }) => where),
    [],
  );
});
