import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { lintComments } from '../../tools/prose/lint-comments.ts';
import { lintProse } from '../../tools/prose/lint-text.ts';

const LONG = `Hubgate ${'does one thing after another, and then '.repeat(6)}ends.`;

/** Each text, and what is said about it. */
const FINDINGS: readonly (readonly [string, RegExp | undefined])[] = [
  ['The mirror mirrors what is is public.', /^1: "is is" is written twice$/],
  ['Text.\n\nOne end of a line\nline of the next.', /^3: "line\nline" is written twice$/],
  [LONG, /^1: a sentence has \d+ words, and more than 30 are hard to follow: Hubgate does/],
  ['It is simply a mirror.', /^1: instead of "simply" write nothing/],
  ['| a | b |\n| --- | --- |\n| c | Dockerhub |', /^3: instead of "Dockerhub" write Docker Hub$/],
  ['# In order to start', /^1: instead of "In order to" write to$/],
  // Code, names and addresses are written as they are.
  ['It reads `just` and `in order to`; a rule rule-1 matches `a` `a`.', undefined],
  ['See [simply.md](simply.md), https://k8s.example/very and library/alpine library/alpine.', undefined],
  ['```\nin order to in order to\n```', undefined],
];

test('the prose linter finds long sentences, doubled words and words that the glossary replaces', async () => {
  for (const [text, expected] of FINDINGS) {
    const found = await lintProse(text);
    if (expected === undefined) assert.deepEqual(found, [], text);
    else assert.match(found.join('\n'), expected, text);
  }
});

test('the prose linter finds lines of comments that are wider than the code may be', () => {
  const wide = 'wide '.repeat(25);
  const text = [
    '/** Narrow. */',
    `/** ${wide}*/`,
    ` * ${wide}`,
    `  // ${wide}`,
    `call('${wide}'); // code`,
  ].join('\n');
  const lines = lintComments(text).map((one) => one.slice(0, one.indexOf(':')));
  assert.deepEqual(lines, ['2', '3', '4']);
  const { formatter } = JSON.parse(readFileSync('biome.json', 'utf8'));
  assert.deepEqual(lintComments(` * ${'x'.repeat(formatter.lineWidth - 3)}`), []);
  assert.equal(lintComments(` * ${'x'.repeat(formatter.lineWidth - 2)}`).length, 1);
});
