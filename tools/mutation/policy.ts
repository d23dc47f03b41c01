import type { Mutant } from './mutant.ts';

const POLICY = 'src/access/policy.ts';
const PERMIT = 'src/gateway/authorization/authorize.ts';
const POLICY_TESTS = ['test/access/policy.test.ts', 'test/access/oracle.test.ts'];
const GATEWAY_TESTS = [
  'test/gateway/v2.test.ts',
  'test/gateway/service-token.test.ts',
  'test/gateway/credential.test.ts',
];

/** The defences of the policy: the conditions of a rule, and the restriction by a token. */
export const policyMutants: readonly Mutant[] = [
  {
    defence: 'a deny wins over every allow',
    file: POLICY,
    find: "return effect === 'deny' ? 0 : reachesPrivate ? 1 : 2;",
    replace: "return effect === 'deny' ? 2 : reachesPrivate ? 0 : 1;",
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule counts for those whom it names',
    file: POLICY,
    find: '    CONDITIONS.subject(rule, question) &&\n',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule counts in its networks',
    file: POLICY,
    find: ' &&\n    CONDITIONS.network(rule, question)',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule ends',
    file: POLICY,
    find: '    CONDITIONS.time(rule, question) &&\n',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule counts for its tags',
    file: POLICY,
    find: '    CONDITIONS.tag(rule, question) &&\n',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule without private reaches public content only',
    file: POLICY,
    find: "{ decision: 'allow', rule: id, private: rule.data.private || isHosted(question.repository) }",
    replace: "{ decision: 'allow', rule: id, private: true }",
    tests: [...POLICY_TESTS, 'test/gateway/v2.test.ts'],
  },
  {
    defence: 'a group that the principal brings counts',
    file: 'src/access/subject-pattern.ts',
    find: 'if (brought.includes(name)) return true;',
    replace: '',
    tests: ['test/access/policy.test.ts'],
  },
  {
    defence: 'a rule of a group that the principal brings is found among many rules',
    file: POLICY,
    find: 'subjects.keysOf(question.subject, question.groups)',
    replace: 'subjects.keysOf(question.subject)',
    tests: ['test/access/policy.test.ts'],
  },
  {
    defence: 'a rule counts for its action',
    file: POLICY,
    find: '    CONDITIONS.action(rule, question) &&\n',
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a token is good for the actions that it names',
    file: PERMIT,
    find: 'repositories.get(repository.name)?.has(action) === true',
    replace: 'repositories.has(repository.name)',
    tests: ['test/gateway/token.test.ts'],
  },
  {
    defence: 'a token is good for the repositories that it names',
    file: PERMIT,
    find: '!isGranted(authentication, asked)',
    replace: 'false',
    tests: GATEWAY_TESTS,
  },
  {
    defence: 'a restricted credential is less than its owner',
    file: PERMIT,
    find: 'authentication.restriction?.allows(action, repository, asked.address) === false',
    replace: 'false',
    tests: GATEWAY_TESTS,
  },
  {
    defence: 'access diff compares what ${user} in a rule means for each user',
    file: 'src/access/replay.ts',
    find: 'return [...targets, ...own].flatMap((pull) =>',
    replace: 'return [...targets].flatMap((pull) =>',
    tests: ['test/commands/hosted-policy.test.ts'],
  },
];
