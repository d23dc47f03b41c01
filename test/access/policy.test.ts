import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePolicy, type Decision, decide, type Policy } from '../../src/access/policy.ts';
import { parseSubject, type Subject } from '../../src/access/subject.ts';
import { ACTIONS, type Action } from '../../src/registry/action.ts';
import { type Repository, resolveRepository } from '../../src/registry/repository.ts';
import { faultsOf, NOW, policyOf } from './support/policy.ts';

const NAMES = { upstreams: new Set(['docker.io', 'ghcr.io']), self: new Set<string>() };

function repository(name: string): Repository {
  const found = resolveRepository(name, [], NAMES);
  assert.ok(found, name);
  return found;
}

function subject(text: string): Subject {
  const found = parseSubject(text);
  assert.ok(found, text);
  return found;
}

const POLICY = policyOf(`
groups:
  platform: [ana, jin]
  nodes: ["cert:prod-*"]
sets:
  base: [library/**, bitnami/**, "ghcr.io/acme/tool"]
allow:
  - { id: base, pull: $base, to: authenticated }
  - { id: pay, pull: acme/pay-**, to: [group:platform, ci-pay], private: true }
  - { id: pay-open, pull: acme/pay-**, to: authenticated }
  - { id: own, pull: "acme/\${user}/**", to: authenticated, private: true }
  - { id: lab, pull: $base, to: anonymous, from: [10.20.0.0/16, "2001:db8::/32"] }
  - { id: nodes, pull: "ghcr.io/**", to: group:nodes }
  - { pull: [alpine, "**/public"], to: bo }
deny:
  - { id: closed, pull: library/closed*, to: authenticated, because: "ask the platform team" }
  - { id: jin-out, pull: acme/pay-secret, to: jin }
`);

function ask(who: string, name: string, address = '192.0.2.1'): Decision {
  return decide(POLICY, {
    action: 'pull',
    subject: subject(who),
    address,
    repository: repository(name),
    at: NOW,
  });
}

function allowed(who: string, name: string, address?: string): string | undefined {
  const decision = ask(who, name, address);
  return decision.decision === 'allow' ? `${decision.rule}${decision.private ? ' private' : ''}` : undefined;
}

test('groups, sets, plain names, users and services', () => {
  assert.equal(allowed('user:ana', 'alpine'), 'base');
  assert.equal(allowed('user:ana', 'bitnami/redis'), 'base');
  assert.equal(allowed('user:ana', 'ghcr.io/acme/tool'), 'base');
  assert.equal(allowed('user:ana', 'ghcr.io/acme/other'), undefined);
  assert.equal(allowed('user:ana', 'acme/secret'), undefined);
  assert.equal(allowed('service:ci-pay', 'acme/pay-api'), 'pay private');
  assert.equal(allowed('cert:prod-7', 'ghcr.io/x/y'), 'nodes');
  assert.equal(allowed('cert:test-7', 'ghcr.io/x/y'), undefined);
  assert.equal(allowed('user:prod-7', 'ghcr.io/x/y'), undefined);
});

test('the widest matching rule grants, in whichever order the rules stand', () => {
  assert.equal(allowed('user:ana', 'acme/pay-api'), 'pay private');
  assert.equal(allowed('user:bo', 'acme/pay-api'), 'pay-open');
});

test('any matching deny wins, and its reason is for the caller', () => {
  assert.deepEqual(ask('user:ana', 'library/closed-1'), {
    decision: 'deny',
    rule: 'closed',
    because: 'ask the platform team',
  });
  assert.deepEqual(ask('user:jin', 'acme/pay-secret'), { decision: 'deny', rule: 'jin-out' });
  assert.deepEqual(ask('user:ana', 'acme/nothing'), { decision: 'deny' });
});

test('${user} opens the caller’s own name space and no other', () => {
  assert.equal(allowed('user:ana', 'acme/ana/app'), 'own private');
  assert.equal(allowed('user:ana', 'acme/jin/app'), undefined);
  assert.equal(allowed('cert:ana', 'acme/ana/app'), undefined);
});

test('anonymous is granted by network only, and a logged-in caller is not anonymous', () => {
  assert.equal(allowed('anonymous', 'alpine', '10.20.3.4'), 'lab');
  assert.equal(allowed('anonymous', 'alpine', '::ffff:10.20.3.4'), 'lab');
  assert.equal(allowed('anonymous', 'alpine', '2001:db8::1'), 'lab');
  assert.equal(allowed('anonymous', 'alpine', '10.21.0.1'), undefined);
  assert.equal(allowed('anonymous', 'alpine', 'not an address'), undefined);
  assert.equal(allowed('anonymous', 'acme/pay-api', '10.20.3.4'), undefined);
  assert.equal(allowed('user:bo', 'ghcr.io/acme/tool', '10.20.3.4'), 'base');
});

test('a name of one part is an official image; a rule without an id is known by its line', () => {
  assert.equal(allowed('user:bo', 'library/alpine'), 'base');
  assert.equal(allowed('user:bo', 'team/app/public'), 'access.yaml:15');
});

test('a pattern means what docker pull means, in every form of Docker Hub’s name', () => {
  for (const [written, name] of [
    ['centos', 'library/centos'],
    ['docker.io/centos', 'library/centos'],
    ['index.docker.io/centos', 'library/centos'],
    ['registry-1.docker.io/acme/x', 'acme/x'],
    ['docker.io/cent*', 'library/centos'],
    ['docker.io/**', 'acme/x'],
    ['index.docker.io/library/*', 'library/centos'],
    ['ghcr.io/tool', 'ghcr.io/tool'],
    ['ghcr.io/*', 'ghcr.io/tool'],
  ] as const) {
    const policy = policyOf(`allow: [{ pull: "${written}", to: bo }]`);
    const question = { subject: subject('user:bo'), address: '', repository: repository(name), at: NOW };
    assert.equal(decide(policy, { action: 'pull', ...question }).decision, 'allow', written);
  }
  for (const written of ['docker.io/*', 'acme//x', '/acme/x', 'acme/x/', 'docker.io/', 'docker.io//x']) {
    const faults = faultsOf(`version: 1\nallow: [{ pull: "${written}", to: bo }]\n...\n`);
    assert.equal(faults.length, 1, written);
  }
});

test('a file without its last line is taken for half-written, at every length', () => {
  const text =
    'version: 1\nallow:\n  - { pull: everything, to: authenticated }\ndeny:\n  - { pull: acme/**, to: bo }\n...\n';
  assert.deepEqual(faultsOf(text), []);
  for (let length = 0; length < text.length - 1; length++) {
    assert.match(faultsOf(text.slice(0, length))[0] ?? '', /half-written/, `${length} bytes`);
  }
});

test('what is wrong is said all at once, where it stands', () => {
  const text = `version: 2
groups:
  a: [ana, group:b, a/b]
allow:
  - { id: x, pull: $nothing, to: group:none }
  - { id: y, pull: "acme/*", to: anonymous, from: 10.0.0.0/33 }
  - { pull: acme/x, untill: 2027-01-31, to: ana }
  - { pull: acme/x }
  - { id: x, pull: acme/x, to: ana }
  - { pull: "*", to: bo }
  - { pull: Acme/x, to: bo }
dney: []
...
`;
  assert.deepEqual(faultsOf(text), [
    'access.yaml:1:10: version: found 2, expected 1, the version of this format',
    'access.yaml:3:12: "group:b" is a group, and a group cannot hold a group; list both in the rule\'s "to"',
    'access.yaml:3:21: "a/b" is no user name: letters, digits and _, between them also . @ + - $ and \\, at most 64',
    'access.yaml:5:20: there is no set "nothing"; there is none',
    'access.yaml:5:34: there is no group "none"; there are a',
    'access.yaml:6:51: from of rule "y": found "10.0.0.0/33", expected a network such as 10.0.0.0/8: the number of bits behind the slash is at most 32',
    'access.yaml:7:21: unknown key "untill" of entry 3 of allow; did you mean "until"?',
    'access.yaml:8:5: "to" of entry 4 of allow is missing; expected a user, group:…, cert:…, oidc:…, authenticated or anonymous',
    'access.yaml:9:11: the id "x" is taken by the rule at access.yaml:5:5; choose another',
    'access.yaml:10:13: "*" is one segment, and so would mean official images only; write library/* for official images, everything for all',
    'access.yaml:11:13: "Acme/x" can match no repository: names are in lower case; write "acme/x"',
    'access.yaml:12:1: unknown key "dney"; did you mean "deny"?',
  ]);
});

test('a name that every object has is no group, set or user', () => {
  assert.match(
    faultsOf('version: 1\nallow:\n  - {pull: $constructor, to: group:toString}\n...\n').join('\n'),
    /no set "con/,
  );
  assert.equal(allowed('user:constructor', 'acme/secret'), undefined);
});

test('a test can expect public content and nothing more, or private content too', () => {
  const said = (expect: string, rule: string) =>
    faultsOf(
      `version: 1\nallow: [{ id: pay, pull: acme/pay, to: ana${rule} }]\ntests: [{ who: ana, pull: acme/pay, expect: ${expect} }]\n...\n`,
    ).join();
  for (const [expect, rule] of [
    ['allow', ''],
    ['allow', ', private: true'],
    ['public', ''],
    ['private', ', private: true'],
  ] as const)
    assert.equal(said(expect, rule), '', `${expect}${rule}`);
  assert.match(said('private', ''), /expects private, but the rule "pay" allows public content only$/);
  assert.match(
    said('public', ', private: true'),
    /expects public, but the rule "pay" allows private content too$/,
  );
  assert.match(
    said('private', ', until: 2020-01-01, private: true'),
    /expects private, but no rule allows it$/,
  );
  assert.match(said('deny', ''), /expects deny, but the rule "pay" says allow$/);
});

test('a rule is about one action, which is pull unless it names another; push includes pull', () => {
  const question = { subject: subject('user:bo'), address: '', repository: repository('acme/x'), at: NOW };
  const pulling = policyOf('allow: [{ id: one, pull: acme/x, to: bo }]');
  const pushing = compilePolicy({
    ...pulling.data,
    rules: pulling.data.rules.map((rule) => ({ ...rule, action: 'push' })),
  });
  const allows = (policy: Policy, action: Action) =>
    decide(policy, { action, ...question }).decision === 'allow';
  assert.deepEqual(
    ACTIONS.filter((action) => allows(pulling, action)),
    ['pull'],
  );
  assert.deepEqual(
    ACTIONS.filter((action) => allows(pushing, action)),
    ['pull', 'push'],
  );
});

test('a group that the principal brings counts as one of the policy', () => {
  const many = Array.from({ length: 20 }, (_, at) => `  - { id: r${at}, pull: acme/x, to: u${at} }`).join(
    '\n',
  );
  for (const others of ['', many]) {
    const policy = policyOf(
      `groups: { pay: [jin] }\nallow:\n  - { id: one, pull: acme/x, to: group:pay }\n${others}`,
    );
    const question = { subject: subject('user:bo'), address: '', repository: repository('acme/x'), at: NOW };
    const asked = (groups?: string[]) =>
      decide(policy, { action: 'pull', ...question, ...(groups && { groups }) }).decision;
    assert.equal(asked(), 'deny');
    assert.equal(asked(['pay']), 'allow');
    assert.equal(asked(['payments']), 'deny');
  }
});
