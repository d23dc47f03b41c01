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
    find: "realm.protocol === 'http:' && !mayBeWithoutTls(upstream)",
    replace: 'realm.href === upstream.host',
    tests: TESTS,
  },
  {
    defence: 'a realm carries no login',
    file: RULES,
    find: "realm.username !== '' || realm.password !== ''",
    replace: 'realm.href === upstream.host',
    tests: TESTS,
  },
  {
    defence: 'a redirect carries no login',
    file: RULES,
    find: "  if (target.username !== '' || target.password !== '') return 'with a login in the address';\n",
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a redirect of an https registry goes to https',
    file: RULES,
    find: "(target.protocol === 'http:' && mayBeWithoutTls(upstream))",
    replace: "target.protocol === 'http:'",
    tests: CLIENT_TESTS,
  },
  {
    defence: 'the address of a redirect is judged when it is looked up',
    file: ADDRESS,
    find: 'kinds.includes(kindOfAddress(address))',
    replace: 'kinds.length > 0',
    tests: CLIENT_TESTS,
  },
  {
    defence: 'link-local addresses are no public ones',
    file: ADDRESS,
    find: "range()] ?? 'other'",
    replace: "range()] ?? 'public'",
    tests: CLIENT_TESTS,
  },
];
