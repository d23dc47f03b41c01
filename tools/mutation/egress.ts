import type { Mutant } from './mutant.ts';

const RULES = 'src/core/upstream/origin-rules.ts';
const CONNECTIONS = 'src/core/upstream/connections.ts';
const RULE_TESTS = ['test/core/upstream/origin-rules.test.ts'];
const HELPER = ['test/core/upstream/credential-helper.test.ts'];
const PROXY = ['test/core/upstream/proxy.test.ts'];
const REGISTRIES = ['test/core/registries.test.ts'];

/** The defences of outgoing connections: to upstreams, to their token services, and to redirect targets. */
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
    find: 'isElsewhere === true ?',
    replace: 'url.href === upstream.host ?',
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
    file: 'src/core/upstream/origin-kinds.ts',
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
  {
    defence: 'a redirect behind a proxy leads to no private address that is written out',
    file: CONNECTIONS,
    find: 'isAddress(literal) && ',
    replace: 'proxyFor(target, this.#egress) === undefined && isAddress(literal) && ',
    tests: PROXY,
  },
  {
    defence: 'this machine is never looked for behind a proxy',
    file: 'src/platform/egress/proxy-rules.ts',
    find: "if (host === 'localhost' || LOOPBACK.check(host, familyOf(host))) return undefined;",
    replace: '',
    tests: ['test/platform/egress/proxy-rules.test.ts'],
  },
  {
    defence: 'a proxy that hangs holds up nobody beyond the deadline of a connection',
    file: 'src/platform/egress/open-tunnel.ts',
    find: 'request.destroy(late), timeout)',
    replace: 'request.destroy(late), 100_000)',
    tests: PROXY,
  },
  {
    defence: 'the proxy’s password is in no fault of the configuration',
    file: 'src/platform/yaml/yaml-schema.ts',
    find: " || path.at(-1) === 'proxy'",
    replace: '',
    tests: ['test/config/load-config.test.ts'],
  },
  {
    defence: 'the password in a URL is in no fault of the configuration',
    file: 'src/platform/yaml/yaml-schema.ts',
    find: ".replace(/(\\/\\/[^/:@]*):[^/@]*@/, '$1:…@')",
    replace: '',
    tests: ['test/config/load-config.test.ts'],
  },
  {
    defence: 'no gateway is given a proxy with its login',
    file: 'src/config/config.ts',
    find: "role === 'auth' && config.federations.length + config.logins.length > 0",
    replace: 'config.federations.length + config.logins.length > 0',
    tests: ['test/config/load-config.test.ts'],
  },
  {
    defence: 'no role has the proxy of the environment in its own environment',
    file: 'src/launch/role-environment.ts',
    find: 'if (!PASSED_ON.test(name)) delete',
    replace: "if (!PASSED_ON.test(name) && !name.endsWith('PROXY')) delete",
    tests: ['test/commands/egress.test.ts'],
  },
  {
    defence: 'a credential helper is given the variables that are named for it, and no others',
    file: 'src/core/upstream/run-helper.ts',
    find: 'env: environment,',
    replace: 'env: { ...process.env, ...environment },',
    tests: HELPER,
  },
  {
    defence: 'a credential helper that hangs is ended, with all that it started',
    file: 'src/core/upstream/run-helper.ts',
    find: 'process.kill(-child.pid',
    replace: 'process.kill(child.pid',
    tests: HELPER,
  },
  {
    defence: 'a refused login has the credential helper run once in a while only',
    file: 'src/core/upstream/helper-credential.ts',
    find: ' || !this.#isRecent(this.#options.clock())',
    replace: ' || this.#askedAt > 0',
    tests: HELPER,
  },
  {
    defence: 'a login that ECR refuses with 403 is exchanged',
    file: 'src/core/upstream/send-authorized.ts',
    find: "(status === 403 && credential !== undefined && 'helper' in credential)",
    replace: '(status === 403 && credential === undefined)',
    tests: HELPER,
  },
  {
    defence: 'what a credential helper prints is in no error unless it failed',
    file: 'src/core/upstream/run-helper.ts',
    find: 'is not JSON`',
    replace: 'is not JSON: ${output}`',
    tests: HELPER,
  },
  {
    defence: 'an identity token is not sent to a registry',
    file: 'src/core/upstream/authorization.ts',
    find: 'if (!isIdentityToken(login)) return ok(',
    replace: 'if (login.username !== this.#upstream.host) return ok(',
    tests: HELPER,
  },
  {
    defence: 'a changed file of authorities is noticed',
    file: 'src/launch/watch-authorities.ts',
    find: 'stack.use(watchFiles({ state, seen, load, ...watchedSlowly([file]), log }));',
    replace: 'void { seen, load };',
    tests: ['test/commands/watch-authorities.test.ts'],
  },
];
