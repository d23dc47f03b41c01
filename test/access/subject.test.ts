import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatSubject,
  isName,
  parseSubject,
  parseWrittenSubject,
  whyNoName,
} from '../../src/access/subject.ts';

test('names are as directories, registries and CI systems write them', () => {
  const names = [
    'ana',
    'Ana',
    'CORP\\ana',
    'CORP\\HOST$',
    'ci+bot@corp.example',
    'robot$proj+ci',
    '_json_key',
    'A',
    '007',
  ];
  for (const name of [...names, 'a'.repeat(64)]) {
    assert.equal(whyNoName(name), undefined, name);
    assert.deepEqual(parseWrittenSubject(name), { kind: 'user', name });
    assert.deepEqual(parseSubject(formatSubject({ kind: 'service', name })), { kind: 'service', name });
  }
});

test('what means something else, or could lead out of a place where a name stands, is no name', () => {
  const signs = [
    '/',
    ':',
    '*',
    '"',
    "'",
    ' ',
    '\t',
    '\n',
    '\0',
    '{',
    '}',
    '[',
    ']',
    ',',
    '#',
    '%',
    '&',
    '|',
    'ä',
    '\u202e',
  ];
  for (const name of [
    '',
    'a'.repeat(65),
    '.ana',
    '-ana',
    '$ana',
    '\\ana',
    '+ana',
    'ana.',
    'ana\\',
    '${user}',
  ])
    assert.equal(isName(name), false, name);
  for (const sign of signs) assert.equal(isName(`a${sign}b`), false, JSON.stringify(sign));
  for (const word of ['anonymous', 'Anonymous', 'AUTHENTICATED', 'everything', 'Oidc'])
    assert.equal(isName(word), false, word);
});
