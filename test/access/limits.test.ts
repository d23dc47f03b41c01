import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitsFor, reservesFor } from '../../src/access/limits.ts';
import { parsePolicyAgain } from '../../src/access/policy-file.ts';
import { deserializingPolicy, serializePolicy } from '../../src/access/serialized-policy.ts';
import { parseWrittenSubject } from '../../src/access/subject.ts';
import { runAtOnce } from '../../src/platform/scheduling/time-slicing.ts';
import { formatWindow, parseAmount } from '../../src/platform/windowed-amount.ts';
import { YamlEntryCache } from '../../src/platform/yaml/yaml-entry-cache.ts';
import { HOSTED, parseUpstreamHost } from '../../src/registry/repository.ts';
import { FORMS, faultsOf, NOW, parseFiles, policyOf, warningsOf } from './support/policy.ts';

const POLICY = policyOf(`
groups:
  ci: [ci-app]
  prod: ["cert:prod-*"]
allow:
  - { id: all, pull: everything, to: [authenticated, anonymous] }
limits:
  - { id: ci, to: group:ci, pulls: 60/6h, bytes: 50GiB/24h, because: "ask #platform" }
  - { id: each, to: authenticated, each: true, except: [group:prod, jin], pulls: 40/6h }
  - { id: lab, to: anonymous, from: [10.40.0.0/16, "fd00::/8"], bytes: 1TiB/31d }
  - { id: hub, to: [authenticated, anonymous], upstream: docker.io, pulls: 5000/24h }
  - { id: two, to: jin, upstream: [ghcr.io, quay.io], pulls: 1/1m }
reserve:
  - { id: prod, upstream: docker.io, keep: 20%, for: group:prod }
  - { id: jin, upstream: docker.io, keep: 12.5%, for: jin }
  - { id: ghcr, upstream: ghcr.io, keep: 100%, for: [jin, group:prod] }`);

function question(who: string, host = 'docker.io', address = '192.0.2.1', groups: readonly string[] = []) {
  const subject = parseWrittenSubject(who) ?? assert.fail(who);
  return { subject, upstream: parseUpstreamHost(host) ?? assert.fail(host), address, groups };
}

function limitIds(...asked: Parameters<typeof question>): string {
  return limitsFor(POLICY.limits, question(...asked))
    .map(({ id }) => id)
    .join(' ');
}

test('every limit applies that names the subject, the upstream and the address', () => {
  assert.equal(limitIds('ci-app'), 'ci each hub');
  assert.equal(limitIds('ana'), 'each hub');
  assert.equal(limitIds('ana', 'ghcr.io'), 'each');
  assert.equal(limitIds('anonymous', 'ghcr.io'), '');
  assert.equal(limitIds('anonymous', 'ghcr.io', '10.40.1.2'), 'lab');
  assert.equal(limitIds('anonymous', 'docker.io', 'fd00::1'), 'lab hub');
  assert.equal(limitIds('ana', 'ghcr.io', '10.40.1.2'), 'each');
  assert.equal(limitIds('jin', 'quay.io'), 'two');
});

test('no limit counts the pulls of hosted repositories', () => {
  assert.deepEqual(limitsFor(POLICY.limits, { ...question('ana'), upstream: HOSTED }), []);
});

test('whoever is in "except" has no such limit, by a group of the policy too', () => {
  assert.equal(limitIds('cert:prod-7'), 'hub');
  assert.equal(limitIds('cert:node-7'), 'each hub');
  assert.equal(limitIds('jin'), 'hub');
});

test('a limit of a group counts for those who bring the group', () => {
  assert.equal(limitIds('ana', 'ghcr.io', '', ['ci']), 'ci each');
  assert.equal(limitIds('ana', 'ghcr.io', '', ['ci', 'prod']), 'ci');
});

test('a reserve of the upstream is kept for those whom it names, and from all others', () => {
  const reserves = (...asked: Parameters<typeof question>) => {
    const { own, others } = reservesFor(POLICY.limits, question(...asked));
    return [own, others].map((some) => some.map(({ id, keep }) => `${id} ${keep}`));
  };
  assert.deepEqual(reserves('ana'), [[], ['prod 0.2', 'jin 0.125']]);
  assert.deepEqual(reserves('jin'), [['jin 0.125'], ['prod 0.2']]);
  assert.deepEqual(reserves('cert:prod-7', 'ghcr.io'), [['ghcr 1'], []]);
  assert.deepEqual(reserves('ana', 'quay.io'), [[], []]);
  assert.deepEqual(reserves('ana', 'docker.io', '', ['prod'])[0], ['prod 0.2']);
});

test('an amount is a number or a size in a window', () => {
  const HOUR = 3_600_000;
  assert.deepEqual(parseAmount('60/6h', 'pulls'), { max: 60, windowMs: 6 * HOUR });
  assert.deepEqual(parseAmount('50GiB/24h', 'bytes'), { max: 50 * 2 ** 30, windowMs: 24 * HOUR });
  assert.deepEqual(parseAmount('1/1m', 'pulls'), { max: 1, windowMs: 60_000 });
  assert.deepEqual(parseAmount('5/h', 'pulls'), { max: 5, windowMs: HOUR });
  assert.deepEqual(parseAmount('1TiB/31d', 'bytes'), { max: 2 ** 40, windowMs: 31 * 24 * HOUR });
  for (const text of ['', '60', '60/6', '60/6s', '0/6h', '60/0h', '60/32d', '60GiB/6h', ' 60/6h', '6e1/6h'])
    assert.equal(parseAmount(text, 'pulls'), undefined, text);
  for (const text of ['60/6h', '50GB/24h', '50gib/24h', '0GiB/24h', '1.5GiB/24h', '8192TiB/24h'])
    assert.equal(parseAmount(text, 'bytes'), undefined, text);
});

test('a window is written as people write it', () => {
  const windows = [60_000, 90 * 60_000, 6 * 3_600_000, 24 * 3_600_000, 7 * 24 * 3_600_000];
  assert.deepEqual(windows.map(formatWindow), ['1m', '90m', '6h', '24h', '7d']);
});

test('a policy keeps its limits on the way to the gateways', () => {
  const { data } = runAtOnce(deserializingPolicy(serializePolicy(POLICY.data)));
  assert.deepEqual([data.limits, data.reserves], [POLICY.data.limits, POLICY.data.reserves]);
});

test('a policy of an earlier version has no limits', () => {
  const { limits: _, reserves: __, ...data } = POLICY.data;
  const { limits } = runAtOnce(deserializingPolicy(serializePolicy(data)));
  assert.deepEqual(limits, { limits: [], reserves: [] });
});

test('limits stand in all files of a policy, and have ids that differ', () => {
  const limit = (id: string) => `limits:\n  - { id: ${id}, to: ana, pulls: 1/6h }\n`;
  const rule = 'allow:\n  - { id: all, pull: everything, to: ana }\n';
  const file = (text: string) => `version: 1\n${text}...\n`;
  const test = 'tests:\n  - { who: ana, pull: nginx, expect: allow, limits: [one, two] }\n';
  const good = parseFiles({
    'access.yaml': file(rule + limit('one') + test),
    'access.d/b.yaml': file(limit('two')),
  });
  assert.ok('value' in good);
  const bad = parseFiles({ 'access.yaml': file(rule + limit('one')), 'access.d/b.yaml': file(limit('one')) });
  assert.deepEqual('faults' in bad && bad.faults.map(({ source, message }) => [source, message]), [
    ['access.d/b.yaml', 'the id "one" is taken by the limit at access.yaml:5:5; choose another'],
  ]);
});

test('a policy has at most 100 limits and 50 reserves', () => {
  const entries = (count: number, write: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => `  - { id: e${index}, ${write(index)} }\n`).join('');
  const policy = (limits: number, reserves: number) =>
    `version: 1\nlimits:\n${entries(limits, () => 'to: ana, pulls: 1/6h')}reserve:\n${entries(
      reserves,
      (index) => `upstream: r${index}.example, keep: 20%, for: ana`,
    ).replaceAll('id: e', 'id: r')}...\n`;
  assert.deepEqual(faultsOf(policy(100, 50)), []);
  assert.deepEqual(faultsOf(policy(101, 51)), [
    'access.yaml:103:5: "limits" has more than 100 entries; put several into one',
    'access.yaml:155:5: "reserve" has more than 50 entries; put several into one',
  ]);
});

test('a long policy that is read again has the same limits', () => {
  const text = `version: 1\nlimits:\n  - { id: ci, to: ana, pulls: 60/6h }\nreserve:\n  - { id: r, upstream: docker.io, keep: 20%, for: ana }\n...\n`;
  const sources = [{ source: 'access.yaml', label: 'access.yaml', text }];
  const read = parsePolicyAgain(sources, NOW, { forms: FORMS }, new YamlEntryCache());
  const whole = parseFiles({ 'access.yaml': text });
  assert.ok('value' in read && 'value' in whole);
  const { data } = read.value.policy;
  assert.deepEqual(
    [data.limits, data.reserves],
    [whole.value.policy.data.limits, whole.value.policy.data.reserves],
  );
});

test('a limit or a reserve for a federated subject that nobody can have is doubted', () => {
  const warnings = warningsOf(`limits:
  - { id: ci, to: "oidc:github:acme/pay", pulls: 1/6h }
  - { id: all, to: authenticated, except: "oidc:github:acme/pay", pulls: 1/6h }
reserve:
  - { id: own, upstream: docker.io, keep: 20%, for: ["oidc:github:acme/pay", "oidc:github:acme/pay@x"] }`);
  assert.deepEqual(
    warnings.map((warning) => warning.replace(/, but .*/, '')),
    [
      'access.yaml:3:5: the limit "ci" names "oidc:github:acme/pay"',
      'access.yaml:4:5: the limit "all" names "oidc:github:acme/pay"',
      'access.yaml:6:5: the reserve "own" names "oidc:github:acme/pay"',
    ],
  );
});
