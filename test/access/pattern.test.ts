import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePattern, matchesPattern } from '../../src/access/pattern.ts';
import { globMatches } from './oracle.ts';

function matches(pattern: string, name: string, user?: string): boolean {
  return matchesPattern(compilePattern(pattern), name, user);
}

test('* is one segment or part of one, ** any depth, and the whole name must match', () => {
  const table: [pattern: string, name: string, expected: boolean][] = [
    ['library/*', 'library/alpine', true],
    ['library/*', 'library/alpine/extra', false],
    ['library/*', 'xlibrary/alpine', false],
    ['library/alpine', 'library/alpine2', false],
    ['library/alp', 'library/alpine', false],
    ['acme/pay-*', 'acme/pay-api', true],
    ['acme/pay-*', 'acme/pay-api/v2', false],
    ['acme/pay-**', 'acme/pay-api/v2', true],
    ['acme/pay-**', 'acme/pay-', true],
    ['acme/pay-**', 'acme/payments', false],
    ['acme/**', 'acme/a', true],
    ['acme/**', 'acme/a/b/c', true],
    ['acme/**', 'acme', false],
    ['acme/**', 'acmes/a', false],
    ['acme/**/public', 'acme/public', true],
    ['acme/**/public', 'acme/a/b/public', true],
    ['acme/**/public', 'acme/apublic', false],
    ['acme/**/public', 'acme/a/public/b', false],
    ['**/public', 'public', true],
    ['**/public', 'a/b/public', true],
    ['**', 'anything/at/all', true],
    ['*/*', 'a/b', true],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'axx/byyc', false],
    ['a.b', 'axb', false],
  ];
  for (const [pattern, name, expected] of table)
    assert.equal(matches(pattern, name), expected, `${pattern} ~ ${name}`);
});

test('${user} is a literal, whatever the name holds, and nobody without a name', () => {
  assert.equal(matches('acme/${user}/**', 'acme/ana/x', 'ana'), true);
  assert.equal(matches('acme/${user}/**', 'acme/jin/x', 'ana'), false);
  assert.equal(matches('acme/${user}/**', 'acme/ana/x', undefined), false);
  assert.equal(matches('acme/${user}', 'acme/ana', '*'), false);
  assert.equal(matches('acme/${user}', 'acme/*', '*'), true);
  assert.equal(matches('acme/${user}', 'acme/a', '**'), false);
});

/** Names and patterns of few letters, which often meet. */
function text(...letters: string[]): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...letters), { maxLength: 8 }).map((parts) => parts.join(''));
}

test('the matcher agrees with a naive one that back-tracks', () => {
  const patterns = text('a', 'b', '/', '*', '**', '**/', '/**/', '-');
  let met = 0;
  fc.assert(
    fc.property(patterns, text('a', 'b', '/', '-'), (pattern, name) => {
      const expected = globMatches(pattern, name);
      met += expected ? 1 : 0;
      assert.equal(matches(pattern, name), expected, `${pattern} ~ ${name}`);
    }),
    { numRuns: 20_000 },
  );
  assert.ok(met > 1_000, `only ${met} matched`);
});

test('the matcher agrees with the naive one on tags, which have no slash and any letter case', () => {
  fc.assert(
    fc.property(text('1', '.', '*', '**', '-', 'R'), text('1', '.', '-', 'R', 'r'), (pattern, tag) => {
      assert.equal(matches(pattern, tag), globMatches(pattern, tag), `${pattern} ~ ${tag}`);
    }),
    { numRuns: 20_000 },
  );
});

test('a pattern made to back-track costs no more than its length times that of the name', () => {
  for (const piece of ['*a', '**a', '**/a', '*/', '**/', '*a**']) {
    const pattern = compilePattern(`${piece.repeat(100)}b*`);
    let looks = 0;
    const steps = new Proxy(pattern.steps, {
      get(target, property, receiver) {
        looks++;
        return Reflect.get(target, property, receiver);
      },
    });
    for (const letter of ['a', '/', 'a/']) {
      looks = 0;
      const name = letter.repeat(255).slice(0, 255);
      assert.equal(matchesPattern({ ...pattern, steps }, name, undefined), false);
      const length = pattern.steps.length;
      assert.ok(looks > name.length, `${piece}… is refused without being matched`);
      assert.ok(looks < 5 * name.length * length, `${looks} looks at the ${length} steps of ${piece}…`);
    }
  }
});
