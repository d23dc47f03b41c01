import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parseYaml } from '../../src/platform/yaml/yaml-document.ts';
import { splitEntries } from '../../src/platform/yaml/yaml-entries.ts';
import { YamlEntryCache } from '../../src/platform/yaml/yaml-entry-cache.ts';
import { Random } from '../crash/support/random.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** Every layout that is told apart, and much that stands in the way. */
const LAYOUTS = `---
# A comment
version: 1   # one
groups: # of people
  a: [ana, jin]
  "b c": [
    bo, # a comment within
    zoe ]
  'd':
    - x
    - y

sets:

    base: [library/**, "x # y"]
    more:
      - one
      # between
      - "two
         lines"
allow:
  - { id: base, pull: $base,
      to: ana }
  -
    id: block
    because: |
      - { id: none }
      allow:
    to: [ana]
  - # a comment first
    id: "a
      - b"
  # after it
  - plain text
    of two lines
deny:
- { id: flat }
- id: deeper
  to: [x]
tests: []
...
`;

const TEXTS = [
  LAYOUTS,
  ...['config/access.yaml', 'test/access/fixtures/company.yaml', 'test/access/fixtures/laboratory.yaml'].map(
    (file) => readFileSync(path.join(ROOT, file), 'utf8'),
  ),
];

function assertSame(text: string, memory: YamlEntryCache): boolean {
  const parts = memory.open('f', text);
  if (parts === undefined) return false;
  const whole = parseYaml('f', text);
  assert.ok('yaml' in whole, `taken, though ${JSON.stringify(whole)}:\n${text}`);
  assert.deepEqual(parts.yaml.data, whole.yaml.data, text);
  for (const [key, value] of Object.entries(parts.yaml.data as object)) {
    if (!Array.isArray(value)) continue;
    for (const index of value.keys()) {
      const at = [key, index];
      if (splitEntries(text)?.parts.some((part) => part.key === key))
        assert.deepEqual(parts.yaml.faultAt(at, 'x'), whole.yaml.faultAt(at, 'x'), text);
    }
  }
  return true;
}

test('files as people write them are told apart, and say the same as when they are read as a whole', () => {
  for (const text of TEXTS) {
    assert.ok(assertSame(text, new YamlEntryCache()), text);
    assert.ok(assertSame(text.replaceAll('\n', '\r\n'), new YamlEntryCache()));
  }
  const told = splitEntries(LAYOUTS);
  const counts = told?.parts.map(({ key, entries }) => [key, entries.length]);
  assert.deepEqual(counts, [
    ['groups', 3],
    ['sets', 2],
    ['allow', 4],
    ['deny', 2],
  ]);
});

test('what was read before is not read again, and what is gone is forgotten', () => {
  const memory = new YamlEntryCache();
  const entriesOf = (text: string) => {
    const { data } = memory.open('f', text)?.yaml ?? assert.fail(text);
    memory.forget();
    return (data as { allow: unknown[] }).allow;
  };
  const [first, second] = entriesOf('allow:\n  - { id: a }\n  - { id: b }\n');
  const [added, ...same] = entriesOf('allow:\n  - { id: new }\n  - { id: a }\n  - { id: b }\n');
  assert.deepEqual(added, { id: 'new' });
  assert.equal(same[0], first);
  assert.equal(same[1], second);
  entriesOf('allow:\n  - { id: b }\n');
  assert.notEqual(entriesOf('allow:\n  - { id: a }\n')[0], first);
});

test('where lines do not say for sure what belongs together, or something is wrong, nothing is told apart', () => {
  for (const text of [
    // A key that is no key alone, or another one than alone.
    'map:\n  ? a\n  : 1\n',
    'map:\n  a: 1\n  ? b\n  : 2\n',
    'map:\n  a: 1\n  : 2\n',
    'map:\n  a: 1\n  a: 2\n',
    'map:\n  a: &x 1\n  b: *x\n',
    'list:\n  - &x a\n  - *x\n',
    // Open beyond its entry.
    'list:\n  - { a:\n  - 1 }\n',
    'list:\n  - "a\n  - b"\n',
    'list:\n  - [a\n  - b]\n',
    'list:\n  - a\n - b\n',
    'list:\n  - a\n\t- b\n',
    'list:\n  - a\nb\n',
    'map:\n  a: 1\n  - b\n',
    // It is right, and seldom written so.
    'map:\n  a:\n  - b\n',
    'list:\n  - a\n  b: 1\n',
    'a:\n  b: 1\na:\n  c: 2\n',
    'a:\n  b: 1\n---\nc: 1\n',
    'a:\n  b: 1\n...\nc: 1\n',
    '%YAML 1.1\n---\na:\n  b: yes\n',
    '{ x: "\nallow:\n  - a\n" }\n',
    '"a\nallow:\n  - b"\n',
    'text: "a\nallow:\n  - b"\n',
    `list:\n  - ${'['.repeat(40)}${']'.repeat(40)}\n`,
  ])
    assert.equal(new YamlEntryCache().open('f', text), undefined, text);
});

/** What changes the meaning of lines around it, more often than letters do. */
const PIECES = [
  ...['\n', ' ', '  ', '\t', '-', '- ', ':', ': ', '? ', '#', ' #', '"', "'", '[', ']', '{', '}', ','],
  ...[
    '|',
    '|+\n',
    '>-\n',
    '|1\n',
    '&a ',
    '*a',
    '!!str ',
    '---\n',
    '...\n',
    '\r',
    '\r\n',
    '\ufeff',
    'x',
    '1',
    '~',
  ],
  ...['\n- ', '\n  - ', '\n    - ', '\nkey:\n', '\n  key:\n', 'a: ', '<<: ', '__proto__: ', '%YAML 1.1\n'],
];
const MUTATIONS = 3_000;
const SEED = 1;

test('invariant 13: however a file is damaged, what is told apart says what the whole says', () => {
  const random = new Random(SEED);
  let taken = 0;
  for (let turn = 0; turn < MUTATIONS; turn++) {
    let text = turn % 4 === 0 ? (TEXTS[random.below(TEXTS.length)] ?? '') : LAYOUTS;
    for (let count = 1 + random.below(3); count > 0; count--) {
      const at = random.below(text.length);
      const removed = random.below(3) === 0 ? random.below(12) : 0;
      const piece = random.below(4) === 0 ? '' : (PIECES[random.below(PIECES.length)] ?? '');
      text = text.slice(0, at) + piece + text.slice(at + removed);
    }
    if (assertSame(text, new YamlEntryCache())) taken++;
  }
  // It is no use to compare nothing.
  assert.ok(taken > MUTATIONS / 10, `${taken} of ${MUTATIONS}`);
});
