import type { Mutant } from './mutant.ts';

const RULES = 'src/core/upstream/origin-rules.ts';
const CONNECTIONS = 'src/core/upstream/connections.ts';
const RULE_TESTS = ['test/core/upstream/origin-rules.test.ts'];
const REGISTRIES = ['test/core/registries.test.ts'];

/** The defences on the way out: to upstreams, their token services and where these lead. */
export const egressMutants: readonly Mutant[] = [
  {
    defence: 'a token service elsewhere is not shown the credential if nobody listed it',
    file: RULES,
    find: "if (credential === undefined) return 'elsewhere';",
    replace: "if (credential !== null) return 'own';",
    tests: RULE_TESTS,
  },
  {
    defence: 'a listed token service is one of that scheme and port',
    file: RULES,
    find: 'upstream.tokenServices?.includes(realm.origin)',
    replace: 'upstream.tokenServices?.some((one) => new URL(one).hostname === realm.hostname)',
    tests: RULE_TESTS,
  },
  {
    defence: 'a token service elsewhere is asked only where a redirect may lead',
    file: 'src/core/upstream/transport.ts',
    find: 'isElsewhere === true\n',
    replace: 'url.href === upstream.host\n',
    tests: REGISTRIES,
  },
  {
    defence: 'a public registry redirects to no private address',
    file: CONNECTIONS,
    find: "...(own === 'other' ? [] : [own])",
    replace: "'private'",
    tests: REGISTRIES,
  },
  {
    defence: 'a redirect without TLS leads to no other kind of address',
    file: CONNECTIONS,
    find: "isEncrypted ? (['public'] as const) : []",
    replace: "isEncrypted || own !== 'other' ? (['public'] as const) : []",
    tests: REGISTRIES,
  },
  {
    defence: 'the kind of an upstream is that of the addresses it was reached at, and none if they differ',
    file: 'src/core/upstream/kinds-of-origins.ts',
    find: "known.open === 0 || known.kind === kind ? kind : 'other'",
    replace: 'kind',
    tests: ['test/core/upstream/kinds-of-origins.test.ts'],
  },
  {
    defence: 'a redirect to a registry that wants a token is not followed with the credential',
    file: 'src/core/upstream/authorization.ts',
    find: 'scope, account: undefined, isElsewhere: true',
    replace: 'scope, account: this.#credential, isElsewhere: true',
    tests: REGISTRIES,
  },
  {
    defence: 'the authority of one upstream is not trusted for another',
    file: CONNECTIONS,
    find: 'JSON.stringify([kinds, authorities])',
    replace: 'JSON.stringify([kinds])',
    tests: ['test/core/upstream/authorities.test.ts'],
  },
];
