import type { Mutant } from './mutant.ts';

const OUTSIDE = ['test/outside-text.test.ts'];

/** The defences against what upstreams send, and against what becomes of the ways to them. */
export const upstreamMutants: readonly Mutant[] = [
  {
    defence: 'a document that is nested too deeply is refused before it is parsed',
    file: 'src/platform/json-bounds.ts',
    find: 'kind === OPENING && left.depth-- === 0',
    replace: 'kind === OPENING && left.depth-- === Number.NaN',
    tests: ['test/core/pull/manifest-document.test.ts'],
  },
  {
    defence: 'a document of too many objects and members is refused before it is parsed',
    file: 'src/platform/json-bounds.ts',
    find: 'kind >= MEMBER && left.nodes-- === 0',
    replace: 'kind >= MEMBER && left.nodes-- === Number.NaN',
    tests: OUTSIDE,
  },
  {
    defence: 'a document of too many elements is refused before it is parsed',
    file: 'src/platform/json-bounds.ts',
    find: 'kind === ELEMENT && left.elements-- === 0',
    replace: 'kind === ELEMENT && left.elements-- === Number.NaN',
    tests: OUTSIDE,
  },
  {
    defence: 'an escaped quote ends no string',
    file: 'src/platform/json-bounds.ts',
    find: 'json[at] === BACKSLASH ? 2 : 1',
    replace: '1',
    tests: OUTSIDE,
  },
  {
    defence: 'no expression that backtracks reads a challenge',
    file: 'src/registry/challenge.ts',
    find: 'const BARE = /[^\\s",]+/y;',
    replace: 'const BARE = /(?:[^\\s",]+)*(?=$)|[^\\s",]+/y;',
    tests: [...OUTSIDE, 'test/regular-expressions.test.ts'],
  },
];
