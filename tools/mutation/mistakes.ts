import type { Mutant } from './mutant.ts';

const READER = 'src/access/policy-reader.ts';
const SYNTAX = 'src/platform/yaml-syntax.ts';
const POLICY_TESTS = ['test/access/mistakes.test.ts'];
const CONFIG_TESTS = ['test/config/mistakes.test.ts'];

/** The defences against what an author did not mean. */
export const mistakesMutants: readonly Mutant[] = [
  {
    defence: 'a bare name that is the name of a group is refused',
    file: READER,
    find: 'if (groups.get(plain) !== undefined) {',
    replace: "if (plain === '') {",
    tests: POLICY_TESTS,
  },
  {
    defence: 'a word for everybody is refused where a user is meant',
    file: READER,
    find: 'if (!EVERYBODY.has(text.toLowerCase())) return undefined;',
    replace: 'return undefined;',
    tests: POLICY_TESTS,
  },
  {
    defence: 'one syntax mistake gives one message',
    file: 'src/platform/yaml-document.ts',
    find: 'if (complaints.length > 0) {',
    replace: 'if (complaints.length > 1e9) {',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a key that is misspelt is not said to be missing too',
    file: 'src/platform/yaml-schema.ts',
    find: ' || isMisspelt(issue, issues, value)',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'what is advised is accepted',
    file: 'src/platform/yaml-schema.ts',
    find: "if (typeof found !== 'string' && isAccepted(text))",
    replace: "if (typeof found !== 'string')",
    tests: CONFIG_TESTS,
  },
  {
    defence: 'a syntax message repeats nothing of a secret',
    file: SYNTAX,
    find: 'return /pass|secret|token|hash/i.test',
    replace: 'return /$^/.test',
    tests: CONFIG_TESTS,
  },
];
