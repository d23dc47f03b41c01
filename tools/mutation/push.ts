import type { Mutant } from './mutant.ts';

const NAMES = 'src/registry/repository.ts';
const NAME_TESTS = ['test/registry/hosted-names.test.ts'];
const POLICY = 'src/access/policy.ts';
const POLICY_TESTS = ['test/access/hosted-policy.test.ts'];

/** The defences of hosted names, and of who may write to them. */
export const pushMutants: readonly Mutant[] = [
  {
    defence: 'a name in a hosted namespace is hosted, whatever an upstream has',
    file: NAMES,
    find: 'if (hosts.length === 0 && isHostedPath(written, names)) return',
    replace: 'if (false) return',
    tests: NAME_TESTS,
  },
  {
    defence: 'a name with an upstream is that upstream’s',
    file: NAMES,
    find: 'if (hosts.length === 0 && isHostedPath(written, names))',
    replace: 'if (isHostedPath(written, names))',
    tests: NAME_TESTS,
  },
  {
    defence: 'the name of Docker Hub’s repository keeps the host where a hosted one has the same path',
    file: NAMES,
    find: '&& !isHostedPath(path, names) ? path : name',
    replace: '? path : name',
    tests: NAME_TESTS,
  },
  {
    defence: 'an upload id is hexadecimal digits alone',
    file: 'src/registry/upload-id.ts',
    find: '/^[0-9a-f]{32}$/',
    replace: '/^.+$/',
    tests: NAME_TESTS,
  },
  {
    defence: 'an allow of everything reaches nothing that is hosted',
    file: POLICY,
    find: "if (effect === 'allow' && isHosted(repository) && !isHostedPattern(pattern.literal)) return false;",
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'push implies pull, and nothing implies delete',
    file: POLICY,
    find: "action === 'push' && question.action === 'pull'",
    replace: "action === 'push'",
    tests: POLICY_TESTS,
  },
  {
    defence: 'whoever may not pull may not write',
    file: POLICY,
    find: ": action === 'pull';",
    replace: ': false;',
    tests: POLICY_TESTS,
  },
  {
    defence: 'nobody pushes without a login',
    file: 'src/access/policy-reader.ts',
    find: 'if (anonymous >= 0)',
    replace: 'if (anonymous >= 99)',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule about writing can only mean what is hosted',
    file: 'src/access/pattern-text.ts',
    find: "if ('wrong' in canonical || isHostedPattern(canonical.pattern)) return canonical;",
    replace: 'if (true) return canonical;',
    tests: POLICY_TESTS,
  },
  {
    defence: 'no namespace takes the official images, or every name',
    file: 'src/config/hosted.ts',
    find: "if (first === 'library')",
    replace: "if (first === 'libraries')",
    tests: ['test/config/hosted.test.ts'],
  },
];
