/** The npm package carries JavaScript, because Node runs no TypeScript below node_modules. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { compiled } from '../../tools/release/compile.ts';

const SOURCE = path.join(import.meta.dirname, '../../src');

test('compiled code has no types, and names its files as they are called in the package', () => {
  const source = [
    "import { type A, b } from './b.ts';",
    "const { c } = await import('../c/c.ts');",
    "const WORKER = new URL('./c-worker.ts', import.meta.url);",
    "export const d: A = b(c as number, 'x.ts', WORKER);",
  ].join('\n');
  const lines = compiled(source).split('\n');
  assert.deepEqual(
    lines.map((line) => line.replaceAll(/ +/g, ' ')),
    [
      "import { b } from './b.js';",
      "const { c } = await import('../c/c.js');",
      "const WORKER = new URL('./c-worker.js', import.meta.url);",
      "export const d = b(c , 'x.ts', WORKER);",
    ],
  );
});

test('every file that compiled code names is in the package', () => {
  const files = globSync('**/*.ts', { cwd: SOURCE }).filter((file) => !file.endsWith('.d.ts'));
  assert.ok(files.length > 300);
  for (const file of files) {
    const text = compiled(readFileSync(path.join(SOURCE, file), 'utf8'));
    for (const [, named = ''] of text.matchAll(/['"](\.{1,2}\/[^'"\n]*\.js)['"]/g)) {
      const source = path.join(SOURCE, path.dirname(file), named.replace(/\.js$/, '.ts'));
      assert.ok(existsSync(source), `${file} names ${named}`);
    }
    // A name that is put together would not be changed.
    const [left] = /['"][^'"\s]*\.ts['"]/.exec(text) ?? [];
    assert.equal(left, undefined, file);
  }
});
