/** Lints the prose of the pages, and the width of comments in the source: `npm run prose`. */
import { globSync, readFileSync } from 'node:fs';
import { lintComments } from './lint-comments.ts';
import { lintProse } from './lint-text.ts';

const PAGES = ['*.md', 'docs/**/*.md'];
const SOURCE = ['src', 'test', 'tools', 'bench'].map((folder) => `${folder}/**/*.ts`);

let problems = 0;
await lintAll(PAGES, lintProse);
await lintAll(SOURCE, lintComments);
process.exitCode = problems === 0 ? 0 : 1;

async function lintAll(
  files: readonly string[],
  lint: (text: string) => readonly string[] | Promise<readonly string[]>,
): Promise<void> {
  for (const file of globSync(files).toSorted())
    for (const problem of await lint(readFileSync(file, 'utf8'))) {
      process.stderr.write(`${file}:${problem}\n`);
      problems++;
    }
}
