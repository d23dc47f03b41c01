import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePattern, matchesPattern } from '../../src/access/pattern.ts';

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

/** The definition, letter by letter and as slow as it is plain. */
function oracle(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  if (pattern.startsWith('**')) {
    const rest = pattern.slice(2);
    return [...Array(name.length + 1).keys()].some((length) => oracle(rest, name.slice(length)));
  }
  if (pattern.startsWith('*')) {
    const rest = pattern.slice(1);
    const end = name.includes('/') ? name.indexOf('/') : name.length;
    return [...Array(end + 1).keys()].some((length) => oracle(rest, name.slice(length)));
  }
  return name !== '' && pattern[0] === name[0] && oracle(pattern.slice(1), name.slice(1));
}

test('the matcher agrees with a naive one that back-tracks', () => {
  const text = (...letters: string[]) =>
    fc.array(fc.constantFrom(...letters), { maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text('a', 'b', '/', '*', '**', '-'), text('a', 'b', '/', '-'), (pattern, name) => {
      // A whole segment of ** may also stand for none, which the oracle does not know; see the table for that.
      fc.pre(!/(?:^|\/)\*\*\//.test(pattern));
      assert.equal(matches(pattern, name), oracle(pattern, name), `${pattern} ~ ${name}`);
    }),
    { numRuns: 20_000 },
  );
});

test('a pattern made to back-track costs no more than its length times that of the name', () => {
  const pattern = compilePattern(`${'*a'.repeat(100)}b`);
  let looks = 0;
  const steps = new Proxy(pattern.steps, {
    get(target, property, receiver) {
      looks++;
      return Reflect.get(target, property, receiver);
    },
  });
  const name = 'a'.repeat(255);
  assert.equal(matchesPattern({ ...pattern, steps }, name, undefined), false);
  assert.ok(looks < 5 * name.length * pattern.steps.length, `${looks} looks at the steps of the pattern`);
});
