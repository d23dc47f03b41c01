import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, faultsOf, NOW, parseFiles, policyOf } from './support/policy.ts';

const DAY = 24 * 60 * 60_000;
const DIGEST = `sha256:${'a'.repeat(64)}`;

test('tags limit a rule to resolving them; a pull by digest is judged by its repository', () => {
  const policy = policyOf(`
groups: { nodes: ["cert:prod-*"] }
allow:
  - { id: all, pull: library/**, to: authenticated }
  - { id: releases, pull: acme/app, to: bo, tags: ["1.*", stable] }
deny:
  - { id: pinned, pull: everything, tags: [latest, "*-nightly"], to: group:nodes, because: production pins versions }`);
  const allowed = (who: string, what: string) => ask(policy, who, what).decision === 'allow';
  assert.equal(allowed('cert:prod-7', 'nginx:1.29'), true);
  assert.equal(allowed('cert:prod-7', 'nginx:latest'), false);
  assert.equal(allowed('cert:prod-7', 'nginx:1.29-nightly'), false);
  assert.equal(allowed('cert:prod-7', 'nginx:1.29-nightly2'), true);
  assert.equal(allowed('cert:prod-7', `nginx@${DIGEST}`), true);
  assert.equal(allowed('bo', 'acme/app:1.4'), true);
  assert.equal(allowed('bo', 'acme/app:stable'), true);
  assert.equal(allowed('bo', 'acme/app:2.0'), false);
  assert.equal(allowed('bo', 'acme/app:11.0'), false);
  assert.equal(allowed('bo', `acme/app@${DIGEST}`), true);
  assert.deepEqual(ask(policy, 'cert:prod-7', 'nginx:latest'), {
    decision: 'deny',
    rule: 'pinned',
    because: 'production pins versions',
  });
});

test('until: a date is the whole day in UTC, a time that moment; then the rule is gone, a deny too', () => {
  const policy = policyOf(`
allow:
  - { id: day, pull: acme/day, to: bo, until: 2026-11-22 }
  - { id: time, pull: acme/time, to: bo, until: "2026-11-22T13:30:00+01:00" }
  - { id: base, pull: library/**, to: bo }
deny:
  - { id: freeze, pull: library/**, to: bo, until: 2026-11-23 }`);
  const allowed = (what: string, at: number) => ask(policy, 'bo', what, { at }).decision === 'allow';
  const midnight = Date.parse('2026-11-23T00:00:00Z');
  assert.deepEqual(
    [midnight - 1, midnight].map((at) => allowed('acme/day', at)),
    [true, false],
  );
  const half = Date.parse('2026-11-22T12:30:00Z');
  assert.deepEqual(
    [half - 1, half].map((at) => allowed('acme/time', at)),
    [true, false],
  );
  assert.deepEqual(
    [midnight + DAY - 1, midnight + DAY].map((at) => allowed('nginx', at)),
    [false, true],
  );
  for (const until of ['2026-02-30', '2026-11-22T12:00', 'tomorrow', '2026-13-01', '20261122'])
    assert.match(
      faultsOf(`version: 1\nallow: [{ pull: a, to: b, until: "${until}" }]\n...\n`)[0] ?? '',
      /expected a (?:date|time) such as/,
    );
});

test('several files are one policy: names of one hold in all, and a name stands once', () => {
  const files = {
    'access.yaml':
      'version: 1\ngroups: { pay: [ana] }\nallow: [{ id: a, pull: $base, to: authenticated }]\n...\n',
    'access.d/pay.yaml':
      'version: 1\nsets: { base: [library/**] }\nallow: [{ pull: acme/pay, to: group:pay }]\ndeny: [{ pull: library/centos, to: bo }]\n...\n',
  };
  const parsed = parseFiles(files);
  assert.ok('value' in parsed);
  const { policy } = parsed.value;
  assert.deepEqual(ask(policy, 'ana', 'acme/pay'), {
    decision: 'allow',
    rule: 'access.d/pay.yaml:3',
    private: false,
  });
  assert.deepEqual(ask(policy, 'bo', 'centos'), { decision: 'deny', rule: 'access.d/pay.yaml:4' });
  assert.equal(ask(policy, 'bo', 'alpine').decision, 'allow');
  const twice = parseFiles({
    ...files,
    'access.d/z.yaml':
      'version: 1\ngroups: { pay: [bo] }\nallow: [{ id: a, pull: acme/z, to: group:pay }]\n...\n',
  });
  assert.deepEqual(
    'faults' in twice && twice.faults.map(({ source, line, message }) => [source, line, message]),
    [
      [
        'access.d/z.yaml',
        2,
        'the group "pay" stands at access.yaml:2:11 too; rename one, or write what both hold in one',
      ],
      ['access.d/z.yaml', 3, 'the id "a" is taken by the rule at access.yaml:3:9; choose another'],
    ],
  );
  const torn = parseFiles({ ...files, 'access.d/pay.yaml': 'version: 1\nsets: {' });
  assert.deepEqual('faults' in torn && torn.faults.map(({ source }) => source), ['access.d/pay.yaml']);
});

test('a policy that fails its own tests is none, and each that fails is said where it stands', () => {
  const text = `version: 1
allow:
  - { id: lab, pull: library/**, to: anonymous, from: 10.20.0.0/16 }
  - { id: beta, pull: acme/beta, to: bo, until: 2026-12-31 }
tests:
  - { who: anonymous, pull: nginx, from: 10.20.3.4, expect: allow }
  - { who: anonymous, pull: nginx, from: 10.21.3.4, expect: deny }
  - { who: bo, pull: "acme/beta:1", at: 2026-12-31, expect: allow }
  - { who: bo, pull: acme/beta, at: 2027-01-01, expect: deny }
`;
  assert.deepEqual(faultsOf(`${text}...\n`), []);
  assert.deepEqual(
    faultsOf(`${text}  - { who: bo, pull: nginx, expect: allow }
  - { who: anonymous, pull: nginx, from: 10.20.3.4, expect: deny }
...
`),
    [
      'access.yaml:10:5: this test expects allow, but no rule allows it',
      'access.yaml:11:5: this test expects deny, but the rule "lab" says allow',
    ],
  );
});

test('the version of a policy differs where a file or its name does', () => {
  const text = 'version: 1\nallow: []\n...\n';
  const versions = [
    parseFiles({ 'access.yaml': text }),
    parseFiles({ 'access.yaml': `${text}\n` }),
    parseFiles({ 'access.d/a.yaml': text }),
    parseFiles({ 'access.yaml': text, 'access.d/a.yaml': text }),
  ].map((parsed) => ('value' in parsed ? parsed.value.policy.data.version : assert.fail()));
  assert.equal(new Set(versions).size, 4);
  const again = parseFiles({ 'access.yaml': text }, NOW + DAY);
  assert.equal('value' in again && again.value.policy.data.version, versions[0]);
});
