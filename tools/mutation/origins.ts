import type { Mutant } from './mutant.ts';

const RULES = 'src/core/upstream/origin-rules.ts';
const ADDRESS = 'src/core/upstream/address.ts';
const TESTS = ['test/core/upstream/origin-rules.test.ts'];
const CLIENT_TESTS = [
  'test/core/upstream/registry-client.test.ts',
  'test/core/upstream/origin-rules.test.ts',
];

/** The defences that decide where the upstream credential and a redirect may go. */
export const originsMutants: readonly Mutant[] = [
  {
    defence: 'a token service shares the registrable domain of its registry',
    file: RULES,
    find: 'return domain !== null && domain === getDomain(realm.hostname, { allowPrivateDomains: true });',
    replace: 'return domain !== undefined;',
    tests: TESTS,
  },
  {
    defence: 'a token service is asked over https',
    file: RULES,
    find: "  if (realm.protocol !== 'https:' && !(realm.protocol === 'http:' && upstream.protocol === 'http:'))\n    return false;\n",
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a realm carries no login',
    file: RULES,
    find: "  if (realm.username !== '' || realm.password !== '') return false;\n",
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a redirect carries no login',
    file: RULES,
    find: "  if (target.username !== '' || target.password !== '') return false;\n",
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a redirect of an https registry goes to https',
    file: RULES,
    find: "target.protocol === 'https:' || (target.protocol === 'http:' && upstream.protocol === 'http:')",
    replace: 'true',
    tests: CLIENT_TESTS,
  },
  {
    defence: 'the address of a redirect is judged when it is looked up',
    file: ADDRESS,
    find: 'kindOfAddress(address) === kind',
    replace: 'kind !== undefined',
    tests: CLIENT_TESTS,
  },
  {
    defence: 'link-local addresses are no public ones',
    file: ADDRESS,
    find: "?? 'other';\n}\n\n/** The kind that all",
    replace: "?? 'public';\n}\n\n/** The kind that all",
    tests: CLIENT_TESTS,
  },
];
