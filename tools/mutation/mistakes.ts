import type { Mutant } from './mutant.ts';

const MEMBERS = 'src/access/read-member.ts';
const SYNTAX = 'src/platform/yaml/yaml-syntax.ts';
const POLICY_TESTS = ['test/access/mistakes.test.ts'];
const CONFIG_TESTS = ['test/config/mistakes.test.ts'];

/** The defences against mistakes of authors. */
export const mistakesMutants: readonly Mutant[] = [
  {
    defence: 'a bare name that is the name of a group is refused',
    file: MEMBERS,
    find: 'if (groups.get(plain) !== undefined) {',
    replace: "if (plain === '') {",
    tests: POLICY_TESTS,
  },
  {
    defence: 'a word for everybody is refused where a user is meant',
    file: MEMBERS,
    find: 'if (!isWordForEverybody(text)) return undefined;',
    replace: 'return undefined;',
    tests: POLICY_TESTS,
  },
  {
    defence: 'one syntax mistake gives one message',
    file: 'src/platform/yaml/yaml-document.ts',
    find: 'if (complaints.length > 0) {',
    replace: 'if (complaints.length > 1e9) {',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a key that is misspelt is not said to be missing too',
    file: 'src/platform/yaml/yaml-schema.ts',
    find: ' || isMisspelt(issue, issues, value)',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'what is advised is accepted',
    file: 'src/platform/yaml/yaml-schema.ts',
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
  {
    defence: 'a test can expect public content and nothing more',
    file: 'src/access/policy-test.ts',
    find: " && decision.private === (expected === 'private')",
    replace: '',
    tests: ['test/access/policy.test.ts'],
  },
  {
    defence: 'a deny that most likely matches nothing is warned of',
    file: 'src/access/policy-names.ts',
    find: 'isDeny && !isNamed ? doubtDeny(text, pattern, known) : undefined',
    replace: 'undefined',
    tests: ['test/access/policy-names.test.ts'],
  },
  {
    defence: 'who may not log in at docker_auth is granted nothing by its migration',
    file: 'src/commands/migrate/docker-auth.ts',
    find: "const hasAnonymous = Object.hasOwn(users, '');",
    replace: 'const hasAnonymous = users !== undefined;',
    tests: ['test/commands/migrate.test.ts'],
  },
  {
    defence: 'what stands below a refusal that cannot be migrated is left out',
    file: 'src/commands/migrate/docker-auth.ts',
    find: 'if (!isPull) refuser ??= number;',
    replace: '',
    tests: ['test/commands/migrate.test.ts'],
  },
  {
    defence: 'migrate lets no certificate do alone what a certificate and a login do together',
    file: 'src/commands/migrate/registry.ts',
    find: "  if (isThere(from.get('auth'))) {",
    replace: '  if (Math.random() > 1) {',
    tests: ['test/commands/migrate-registry.test.ts'],
  },
  {
    defence: 'a message names a rule by its id, and counts other entries from 1',
    file: 'src/platform/yaml/yaml-schema.ts',
    find: "typeof id === 'string' && ID.test(id)",
    replace: "typeof id === 'number'",
    tests: POLICY_TESTS,
  },
  {
    defence: 'an option that took the last argument is named',
    file: 'src/bin/greedy-options.ts',
    find: 'if (greedy.length === 0) return error;',
    replace: 'return error;',
    tests: ['test/commands/command-line.test.ts'],
  },
];
