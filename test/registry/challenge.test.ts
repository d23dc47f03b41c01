import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatChallenge, parseChallenge } from '../../src/registry/challenge.ts';

const CHALLENGE = {
  realm: 'https://mirror.corp/token',
  service: 'mirror.corp',
  error: 'insufficient_scope',
} as const;
/** The characters that RFC 6750 §3 allows. */
const ALLOWED = /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/;

function described(description: string): string | undefined {
  const header = formatChallenge({ ...CHALLENGE, description });
  return parseChallenge(header)?.parameters.get('error_description');
}

test('a description is written in the characters that its parameter may have, and leaves the others as they are', () => {
  for (const [text, written] of [
    ['CentOS is at its end; see go/base-images', 'CentOS is at its end; see go/base-images'],
    ['say "please", or \\o/', "say 'please', or /o/"],
    ['a",error="invalid_token', "a',error='invalid_token"],
    ['two\r\nlines\tand a tab', 'two  lines and a tab'],
    ['Größe — naïve …', 'Grosse - naive ...'],
    ['\u0000\u007f日本', '????'],
  ] as const)
    assert.equal(described(text), written);
  const everything = String.fromCodePoint(...Array.from({ length: 250 }, (_, code) => code));
  assert.match(described(everything) ?? '', ALLOWED);
});

test('a description has an end, and where nothing is to be said there is none', () => {
  const long = described('x'.repeat(100_000)) ?? '';
  assert.equal(long.length, 300);
  assert.ok(long.endsWith('x...'));
  assert.equal(formatChallenge({ ...CHALLENGE, description: ' \n' }), formatChallenge(CHALLENGE));
  assert.equal(described('\ud83d'.repeat(500))?.length, 300);
});
