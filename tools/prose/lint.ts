/** Lints the prose of the README and of docs: `npm run prose`. */
import { globSync, readFileSync } from 'node:fs';
import { lintProse } from './lint-text.ts';

const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/**/*.md'];

let problems = 0;
for (const page of globSync(PAGES).toSorted())
  for (const problem of await lintProse(readFileSync(page, 'utf8'))) {
    process.stderr.write(`${page}:${problem}\n`);
    problems++;
  }
process.exitCode = problems === 0 ? 0 : 1;
