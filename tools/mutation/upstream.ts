import type { Mutant } from './mutant.ts';

const OUTSIDE = ['test/outside-text.test.ts'];
const REPEATED = ['test/core/upstream/repeated-requests.test.ts'];
const BREAKER = ['test/core/upstream/breaker.test.ts', 'test/core/upstream/breaker-times.test.ts'];

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
  {
    defence: 'a host of one label is no upstream',
    file: 'src/registry/repository.ts',
    find: 'HOST.test(text) && looksLikeHost(text) ?',
    replace: 'HOST.test(text) ?',
    tests: ['test/registry/round-trip.test.ts'],
  },
  {
    defence: 'another name of Docker Hub is no upstream of its own',
    file: 'src/config/load-config.ts',
    find: 'host !== undefined && canonicalHost(host) === host',
    replace: 'host !== undefined',
    tests: ['test/registry/round-trip.test.ts', 'test/config/load-config.test.ts'],
  },
  {
    defence: 'a path of Docker Hub that begins like a host keeps the host in its familiar name',
    file: 'src/registry/repository.ts',
    find: 'upstream === DOCKER_HUB && !looksLikeHost(first) ?',
    replace: 'upstream === DOCKER_HUB && first !== undefined ?',
    tests: ['test/registry/round-trip.test.ts'],
  },
  {
    defence: 'the core takes the path of a repository as it is',
    file: 'src/registry/repository.ts',
    find: 'repository?.path === path ? repository : undefined',
    replace: 'repository',
    tests: ['test/registry/round-trip.test.ts'],
  },
  {
    defence: 'the core takes the upstream of a repository as it is',
    file: 'src/registry/repository.ts',
    find: 'const host = upstreams.has(upstream) ? parseUpstreamHost(upstream) : undefined;',
    replace: 'const host = resolveUpstream(upstream, { upstreams, self: new Set() });',
    tests: ['test/registry/round-trip.test.ts'],
  },
  {
    defence: 'a migrated upstream of one label gets its port',
    file: 'src/commands/migrate/registry.ts',
    find: '(parseUpstreamHost(url.host) ?? parseUpstreamHost(withPort(url)))',
    replace: 'parseUpstreamHost(url.host)',
    tests: ['test/commands/migrate-registry.test.ts'],
  },
  {
    defence: 'a request whose connection was cut is repeated',
    file: 'src/core/upstream/transport.ts',
    find: 'if (!isCut(error) || request.signal.aborted) throw error;',
    replace: 'throw error;',
    tests: REPEATED,
  },
  {
    defence: 'a request is repeated over a new connection',
    file: 'src/core/upstream/transport.ts',
    find: 'return this.#sendOnce(fresh, url, headers, request);',
    replace: 'return this.#sendOnce(kept, url, headers, request);',
    tests: REPEATED,
  },
  {
    defence: 'an idle connection is given up before a firewall cuts it',
    file: 'src/core/upstream/transport.ts',
    find: ', keepAliveMaxTimeout: this.#limits.idle',
    replace: '',
    tests: REPEATED,
  },
  {
    defence: 'a manifest that was cut while it was sent is asked for again',
    file: 'src/core/upstream/upstreams.ts',
    find: 'if (!isCut(error) || deadline.signal.aborted) throw error;',
    replace: 'throw error;',
    tests: REPEATED,
  },
  {
    defence: 'a token that was cut while it was sent is asked for again',
    file: 'src/core/upstream/token-cache.ts',
    find: 'isCut(error) && fresh !== true && !signal.aborted',
    replace: 'fresh === undefined && signal === undefined',
    tests: ['test/core/faults.test.ts'],
  },
  {
    defence: 'failures count per repository before they count against a host',
    file: 'src/core/upstream/breaker.ts',
    find: 'this.#failures.size >= breakAfter && now',
    replace: 'this.#failuresInARow >= breakAfter && now',
    tests: BREAKER,
  },
  {
    defence: 'a single time-out shuts no host',
    file: 'src/core/upstream/breaker.ts',
    find: "else if (trouble.cause === 'timeout' ||",
    replace: "else if (trouble.cause === 'timeout') this.#open(trouble);\n    else if (",
    tests: BREAKER,
  },
  {
    defence: 'a host that does not answer a probe is left alone',
    file: 'src/core/upstream/breaker.ts',
    find: 'else if (this.#trouble === undefined && this.#lastSuccess < started) this.#open(trouble);',
    replace: '',
    tests: BREAKER,
  },
  {
    defence: 'a host that answered its probe is not shut by broken repositories',
    file: 'src/core/upstream/breaker.ts',
    find: ' && now > this.#vouchedUntil',
    replace: '',
    tests: BREAKER,
  },
];
