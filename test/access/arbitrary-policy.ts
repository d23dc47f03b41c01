/** Policies and questions by chance, of so few names that they often meet. */
import fc from 'fast-check';
import type { PlainPolicy, PlainQuestion, PlainRule } from './oracle.ts';

export const NOW = Date.parse('2026-11-22T12:00:00Z');

const HOSTS = [
  '',
  '',
  '',
  '',
  '',
  'docker.io/',
  'index.docker.io/',
  'registry-1.docker.io/',
  'ghcr.io/',
  'local.test:5000/',
];
const SEGMENTS = ['library', 'acme', 'pay-api', 'tool', 'alpine', 'ana'];
const WILD = [
  '*',
  '*',
  '**',
  '**',
  '**',
  '*a*',
  'a**',
  'p*-*',
  'pay**',
  '${user}',
  '${user}-*',
  '*${user}',
  '**l',
  'a*e',
];
const USERS = ['ana', 'a.b', 'ci-pay', 'acme'];
const CERTS = ['cert:prod-1', 'cert:prod-', 'cert:node-7', 'cert:ana'];
const OIDC = [
  'oidc:github:acme/pay@refs/heads/main',
  'oidc:github:acme/pay@refs/heads/x@refs/heads/main',
  'oidc:github:acme/tool@refs/tags/v1',
  'oidc:gitlab:acme/pay@branch/main',
  'oidc:gitlab:acme/pay@branch/tag/main',
  'oidc:ana',
];
const WILD_SUBJECTS = [
  'cert:prod-*',
  'cert:*',
  'oidc:github:acme/*@refs/heads/main',
  'oidc:github:acme/**@refs/heads/main',
  'oidc:github:acme/**',
  'oidc:gitlab:**@**/main',
  'oidc:gitlab:acme/*@**',
  'oidc:github:**',
  'oidc:**',
];
const MEMBERS = [...USERS, ...CERTS, ...OIDC, ...WILD_SUBJECTS];
const TAGS = ['latest', '1.0', '1.2.3', '1.2-rc', 'v1'];
const TAG_PATTERNS = [...TAGS, '1.*', '*', '*-rc', '*.*.*', 'v*'];
const UNTIL = [
  '2026-11-21',
  '2026-11-22',
  '2026-11-23',
  '2026-11-22T12:00Z',
  '2026-11-22T12:00:00Z',
  '2026-11-22T12:00:01Z',
  '2026-11-22T14:00:00+02:00',
  '2026-11-22T06:31:00-05:30',
];
const MOMENTS = [
  NOW - 1,
  NOW,
  NOW,
  NOW + 999,
  NOW + 60_000,
  Date.UTC(2026, 10, 21, 23, 59, 59, 999),
  Date.UTC(2026, 10, 22),
  Date.UTC(2026, 10, 22, 23, 59, 59, 999),
  Date.UTC(2026, 10, 23),
  Date.UTC(2026, 10, 24),
];

const oneOf = (...choices: readonly string[]) => fc.constantFrom(...choices);
const some = (choice: fc.Arbitrary<string>) =>
  fc.oneof(choice, fc.array(choice, { minLength: 1, maxLength: 3 }));

const path = (segment: fc.Arbitrary<string>) =>
  fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join('/'));
const repository = fc
  .tuple(oneOf(...HOSTS), path(oneOf(...SEGMENTS, 'a.b-x')))
  // What stands first and has a dot is a host.
  .filter(([host, written]) => host !== '' || !written.startsWith('a.b-x/'))
  .map(([host, written]) => host + written);
const pattern = fc
  .tuple(oneOf(...HOSTS), path(oneOf(...SEGMENTS, ...WILD)))
  // One segment of Docker Hub is refused where it says nothing: see "what is wrong is said all at once".
  .filter(
    ([host, written]) => /^(?:ghcr|local)/.test(host) || !/^(?:\*|[^/]+\*\*[^/]*|\*\*[^/]+)$/.test(written),
  )
  .map(([host, written]) => host + written);

const octet = fc.constantFrom(10, 10, 11, 20, 128, 255);
const v4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'));
const group = oneOf('0', '1', '8000', 'ffff', 'DB8');
const v6 = fc.oneof(
  fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => groups.join(':')),
  fc.tuple(group, group).map(([one, other]) => `2001:db8:${one}::${other}`),
  oneOf('::', '::1', '2001:db8::', 'fe80::1'),
);
const mapped = fc.oneof(
  v4.map((address) => `::ffff:${address}`),
  v4.map((address) => `0:0:0:0:0:FFFF:${address}`),
  oneOf('::ffff:0a14:0a14', '::ffff:a80:1'),
);
export const addresses = fc.oneof(v4, v6, mapped, oneOf('', 'not an address', 'fe80::1%eth0'));
const bounded = (written: fc.Arbitrary<string>, min: number, max: number) =>
  fc
    .tuple(written, fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, min + 8)))
    .map((parts) => parts.join('/'));
export const networks = fc.oneof(
  bounded(v4, 0, 32),
  bounded(v6, 0, 128),
  bounded(mapped, 96, 128),
  v4,
  v6,
  mapped,
);

const to = fc.oneof(
  oneOf('authenticated', 'authenticated', 'anonymous', 'group:one', 'group:two'),
  oneOf(...MEMBERS),
);
const pull = fc.oneof(
  { weight: 4, arbitrary: pattern },
  { weight: 1, arbitrary: oneOf('everything', '$base', '$other', '**', '*/*', '**/*') },
);

const condition = { from: some(networks), tags: some(oneOf(...TAG_PATTERNS)), until: oneOf(...UNTIL) };
/** Most rules have few conditions: with all of them none would ever match. */
const conditions = fc.oneof(
  fc.constant({}),
  fc.record({ from: condition.from }),
  fc.record({ tags: condition.tags }),
  fc.record({ until: condition.until }),
  fc.record(condition, { requiredKeys: [] }),
);
const rule = (more: Record<string, fc.Arbitrary<boolean>>): fc.Arbitrary<PlainRule> =>
  fc
    .tuple(
      fc.record(
        { pull: some(pull), to: some(to), because: oneOf('SEC-81', 'ask: "us" # why'), ...more },
        { requiredKeys: ['pull', 'to'] },
      ),
      conditions,
    )
    .map(([base, limits]) => ({ ...base, ...limits }));

export const policies: fc.Arbitrary<PlainPolicy> = fc
  .record({
    groups: fc.record({
      one: fc.array(oneOf(...MEMBERS), { minLength: 1, maxLength: 4 }),
      two: fc.array(oneOf(...MEMBERS), { minLength: 1, maxLength: 4 }),
    }),
    sets: fc.record({
      base: fc.array(pattern, { minLength: 1, maxLength: 3 }),
      other: fc.array(pattern, { minLength: 1, maxLength: 3 }),
    }),
    allow: fc.array(rule({ private: fc.boolean() }), { minLength: 1, maxLength: 12 }),
    deny: fc.array(rule({}), { maxLength: 6 }),
    named: fc.infiniteStream(fc.boolean()),
  })
  .map(({ named, ...policy }) => {
    const name = (kind: string) => (one: PlainRule, index: number) =>
      named.next().value === true ? { id: `${kind}-${index}`, ...one } : one;
    return { ...policy, allow: policy.allow.map(name('allow')), deny: policy.deny.map(name('deny')) };
  });

/** Patterns that many rules share, so that there is more than one way to find those that count. */
const shared = fc
  .array(pattern, { minLength: 2, maxLength: 4 })
  .map((few) => [...few, 'acme/**', 'acme/${user}/**', 'everything']);

/** Policies of many rules for few patterns, which name few subjects each. */
export const crowdedPolicies: fc.Arbitrary<PlainPolicy> = fc
  .record({
    policy: policies,
    more: fc.array(rule({ private: fc.boolean() }), { minLength: 40, maxLength: 80 }),
    denies: fc.array(rule({}), { minLength: 5, maxLength: 20 }),
    shared,
    whose: fc.infiniteStream(some(oneOf('anonymous', 'group:one', 'group:two', ...MEMBERS))),
    which: fc.infiniteStream(fc.nat()),
  })
  .map(({ policy, more, denies, shared: few, whose, which }) => {
    const crowd = (one: PlainRule): PlainRule => ({
      ...one,
      pull: few[(which.next().value as number) % few.length] ?? '**',
      to: whose.next().value as PlainRule['to'],
    });
    return {
      ...policy,
      allow: [...policy.allow, ...more.map(crowd)],
      deny: [...policy.deny.slice(0, 1), ...denies.map(crowd)],
    };
  });

const who = fc.oneof(
  oneOf(...USERS.flatMap((name) => [`user:${name}`, `service:${name}`])),
  oneOf(...CERTS, ...OIDC),
  oneOf('anonymous'),
);

export const questions: fc.Arbitrary<PlainQuestion> = fc.record({
  who,
  address: addresses,
  repository,
  tag: fc.option(oneOf(...TAGS), { nil: undefined }),
  at: fc.constantFrom(...MOMENTS),
});
