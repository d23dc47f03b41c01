import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Mutant } from '../tools/mutation/mutant.ts';

const ROOT = path.join(import.meta.dirname, '..');
/** The files that run the mutants. */
const RUNNERS = ['mutate.ts', 'limited-run.ts', 'mutant.ts'];

test('each defence that can be removed is found in the code, once, and its tests exist', async () => {
  const files = globSync('tools/mutation/*.ts', { cwd: ROOT });
  const wrong: string[] = [];
  for (const file of files.filter((one) => !RUNNERS.includes(path.basename(one)))) {
    const lists: Record<string, readonly Mutant[]> = await import(path.join(ROOT, file));
    for (const mutant of Object.values(lists).flat()) wrong.push(...whatIsWrong(mutant));
  }
  assert.deepEqual(wrong, []);
});

function whatIsWrong({ defence, file, find, tests }: Mutant): string[] {
  const source = path.join(ROOT, file);
  const found = existsSync(source) ? readFileSync(source, 'utf8').split(find).length - 1 : 0;
  return [
    ...(found === 1 ? [] : [`${defence}: its text is ${found} times in ${file}`]),
    ...tests.filter((one) => !existsSync(path.join(ROOT, one))).map((one) => `${defence}: no ${one}`),
  ];
}
