/** Rules about hosted repositories: who may pull, push and delete what has no upstream. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../src/access/explain.ts';
import { type AccessQuestion, type Decision, decide, type Policy } from '../../src/access/policy.ts';
import { parseWrittenSubject } from '../../src/access/subject.ts';
import { whoCan } from '../../src/access/who-can.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { ACTIONS, type Action } from '../../src/registry/action.ts';
import { ANY_NAMES, parseImage } from '../../src/registry/image.ts';
import { NOW, parseFiles, policyOf } from './support/policy.ts';

const HOSTED = new Set(['acme-internal', 'base']);

function policy(rules: string): Policy {
  return policyOf(rules, NOW, HOSTED);
}

function question(action: Action, who: string, what: string): AccessQuestion {
  const subject = parseWrittenSubject(who) ?? assert.fail(who);
  const image = parseImage(what, { ...ANY_NAMES, hosted: HOSTED }) ?? assert.fail(what);
  return { action, subject, address: '', ...image, at: NOW };
}

function ask(asked: Policy, action: Action, who: string, what: string): Decision {
  return decide(asked, question(action, who, what));
}

/** Returns the actions that are allowed. */
function allowed(asked: Policy, who: string, what: string): Action[] {
  return ACTIONS.filter((action) => ask(asked, action, who, what).decision === 'allow');
}

function faults(rules: string, hosted: ReadonlySet<string> = HOSTED): string[] {
  const parsed = parseFiles({ 'access.yaml': `version: 1\n${rules}\n...\n` }, NOW, hosted);
  return 'faults' in parsed ? parsed.faults.map(formatFault) : [];
}

test('push includes pull, pull includes nothing else, and delete is never implied', () => {
  const rules = policy(`allow:
  - { id: pull, pull: acme-internal/**, to: pia }
  - { id: push, push: acme-internal/app/**, to: cid }
  - { id: delete, delete: acme-internal/app/**, to: dee }`);
  assert.deepEqual(allowed(rules, 'pia', 'acme-internal/app/api'), ['pull']);
  assert.deepEqual(allowed(rules, 'cid', 'acme-internal/app/api'), ['pull', 'push']);
  assert.deepEqual(allowed(rules, 'dee', 'acme-internal/app/api'), ['delete']);
  assert.deepEqual(allowed(rules, 'cid', 'acme-internal/other'), []);
  assert.deepEqual(allowed(rules, 'zoe', 'acme-internal/app/api'), []);
});

test('an allow of everything reaches nothing that is hosted, and the first policy exposes nothing', () => {
  const rules = policy(`sets: { all: [everything] }
allow:
  - { id: all, pull: everything, to: [anonymous, authenticated], private: true }
  - { id: set, pull: $all, to: authenticated }
  - { id: any, pull: "**", to: authenticated }
  - { id: hub, pull: "*/*", to: authenticated }
  - { id: deep, pull: "**/app", to: authenticated }
  - { id: hosts, pull: "docker.io/acme-internal/**", to: authenticated }`);
  for (const who of ['ana', 'anonymous']) assert.deepEqual(allowed(rules, who, 'acme-internal/app'), []);
  assert.deepEqual(allowed(rules, 'ana', 'docker.io/acme-internal/app'), ['pull']);
});

test('a deny of everything refuses what is hosted too', () => {
  const rules = policy(`allow: [{ push: acme-internal/**, to: authenticated }]
deny: [{ id: gone, pull: everything, to: leo }]`);
  assert.deepEqual(allowed(rules, 'leo', 'acme-internal/app'), []);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app'), ['pull', 'push']);
});

test('a rule about a hosted namespace is not about Docker Hub’s repositories of that name', () => {
  const rules = policy('allow: [{ pull: acme-internal/**, to: ana }]');
  assert.deepEqual(allowed(rules, 'ana', 'docker.io/acme-internal/app'), []);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app'), ['pull']);
});

test('what is hosted is private, and a rule need not say so', () => {
  const rules = policy('allow: [{ id: dev, pull: acme-internal/**, to: [ana, anonymous] }]');
  for (const who of ['ana', 'anonymous'])
    assert.deepEqual(ask(rules, 'pull', who, 'acme-internal/app'), {
      decision: 'allow',
      rule: 'dev',
      private: true,
    });
});

test('tags of an allow limit the tags that are written; digests are written with them', () => {
  const rules = policy('allow: [{ push: acme-internal/**, tags: "v*", to: ana }]');
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app:v1'), ['pull', 'push']);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app:latest'), []);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app'), ['pull', 'push']);
});

test('a deny of push refuses pushes alone, and a deny of pull refuses everything', () => {
  const rules = policy(`allow:
  - { push: acme-internal/**, to: ana }
  - { delete: acme-internal/**, to: ana }
deny:
  - { id: freeze, push: acme-internal/**, tags: "v*", to: authenticated, because: "release freeze, ask #rel" }
  - { id: secret, pull: acme-internal/secret, to: ana }
  - { id: keep, delete: acme-internal/keep, to: ana }`);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app:v1'), ['pull', 'delete']);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/app:w1'), [...ACTIONS]);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/secret'), []);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/keep'), ['pull', 'push']);
  const refused = ask(rules, 'push', 'ana', 'acme-internal/app:v1');
  assert.deepEqual(refused, { decision: 'deny', rule: 'freeze', because: 'release freeze, ask #rel' });
});

test('rules end, are limited to networks, and can name the caller, as those of pulls can', () => {
  const rules = policy(`allow:
  - { push: "acme-internal/\${user}/**", to: authenticated, until: 2026-11-22 }
  - { push: base/**, to: ana, from: 10.0.0.0/8 }`);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/ana/app'), ['pull', 'push']);
  assert.deepEqual(allowed(rules, 'ana', 'acme-internal/bo/app'), []);
  const later = {
    ...question('push', 'ana', 'acme-internal/ana/app'),
    at: Date.parse('2026-11-23T00:00:00Z'),
  };
  assert.equal(decide(rules, later).decision, 'deny');
  const inside = { ...question('push', 'ana', 'base/app'), address: '10.1.1.1' };
  assert.equal(decide(rules, inside).decision, 'allow');
  assert.equal(decide(rules, { ...inside, address: '192.0.2.1' }).decision, 'deny');
});

test('tests of a policy ask for pushes and deletes', () => {
  const rules = 'allow: [{ id: ci, push: acme-internal/app/**, to: cid }]';
  const said = (tests: string) => faults(`${rules}\ntests:\n  - { ${tests} }`);
  assert.deepEqual(said('who: cid, push: "acme-internal/app/api:1.4", expect: allow'), []);
  assert.deepEqual(said('who: cid, pull: acme-internal/app/api, expect: private'), []);
  assert.deepEqual(said('who: cid, delete: acme-internal/app/api, expect: deny'), []);
  assert.match(
    String(said('who: cid, delete: acme-internal/app/api, expect: allow')),
    /but no rule allows it$/,
  );
  assert.match(
    String(said('who: cid, push: acme-internal/app/api, expect: deny')),
    /the rule "ci" says allow$/,
  );
  assert.deepEqual(said('who: cid, push: library/alpine, expect: deny'), [
    'access.yaml:4:23: "library/alpine" is not hosted, so nobody can push it',
  ]);
  assert.deepEqual(said('who: cid, expect: deny'), [
    'access.yaml:4:5: "pull" of entry 1 of tests is missing; expected a repository, with a tag or without',
  ]);
});

/** Mistakes, each with its message and with a correction that works. */
const MISTAKES: readonly (readonly [wrong: string, message: string, right: string])[] = [
  [
    'push: library/app, to: ana',
    '2:18: "library/app" is not hosted, and only what is hosted can be written; write a pattern in one of "acme-internal/**", "base/**"',
    'push: base/app, to: ana',
  ],
  [
    'push: everything, to: ana',
    '2:18: "everything" is not hosted, and only what is hosted can be written; write a pattern in one of "acme-internal/**", "base/**"',
    'push: "acme-internal/**", to: ana',
  ],
  [
    'delete: docker.io/base/app, to: ana',
    '2:20: "docker.io/base/app" is not hosted, and only what is hosted can be written; write a pattern in one of "acme-internal/**", "base/**"',
    'delete: base/app, to: ana',
  ],
  [
    'push: base/app, to: [ana, anonymous]',
    '2:38: nobody can push without a login; write users, groups, or authenticated for everybody who has logged in',
    'push: base/app, to: [ana, authenticated]',
  ],
  [
    'push: base/app, to: ana, private: true',
    '2:37: a hosted repository is private by nature, so remove this',
    'push: base/app, to: ana',
  ],
  [
    'pull: base/app, push: base/app, to: ana',
    '2:28: one entry is about one action, and this one has "pull" already; push includes pull, so remove one of them',
    'push: base/app, to: ana',
  ],
  [
    'push: base/app, delete: base/app, to: ana',
    '2:28: one entry is about one action, and this one has "push" already; push includes pull, so remove one of them',
    'delete: base/app, to: ana',
  ],
  [
    'push: "base/app:1", to: ana',
    '2:18: "base/app:1" holds a tag; write push: "base/app", tags: "1"',
    'push: "base/app", tags: "1", to: ana',
  ],
];

for (const [wrong, message, right] of MISTAKES) {
  test(`one message says what is wrong, where, and what to write: ${wrong}`, () => {
    assert.deepEqual(faults(`allow: [ { ${wrong} } ]`), [`access.yaml:${message}`]);
    assert.deepEqual(faults(`allow: [ { ${right} } ]`), []);
  });
}

test('a set of what is mirrored cannot be pushed', () => {
  const rules = 'sets: { mixed: [base/app, library/**], own: [base/**] }\n';
  assert.deepEqual(faults(`${rules}allow: [{ push: $own, to: ana }, { pull: $mixed, to: ana }]`), []);
  assert.deepEqual(faults(`${rules}allow: [{ push: $mixed, to: ana }]`), [
    'access.yaml:3:17: the set "$mixed" has docker.io/library/**, which is not hosted, and only what is hosted can be written; write a set of hosted repositories',
  ]);
});

test('where nothing is hosted, nothing can be pushed', () => {
  assert.deepEqual(faults('allow: [{ push: acme-internal/app, to: ana }]', new Set()), [
    'access.yaml:2:17: "acme-internal/app" is not hosted, and only what is hosted can be written; nothing is hosted here, so remove this, or add a namespace under "hosted" of hubgate.yaml',
  ]);
});

test('a rule that a deny covers is reported, and one that it covers in part is not', () => {
  const warnings = (deny: string, allow: string) => {
    const text = `version: 1\nallow: [{ id: a, ${allow}, to: ana }]\ndeny: [{ id: d, ${deny}, to: ana }]\n...\n`;
    const parsed = parseFiles({ 'access.yaml': text }, NOW, HOSTED);
    return 'value' in parsed ? (parsed.warnings ?? []).length : assert.fail();
  };
  assert.equal(warnings('pull: base/**', 'push: base/app'), 1);
  assert.equal(warnings('push: base/**', 'push: base/app'), 0);
  assert.equal(warnings('delete: base/**', 'delete: base/app'), 1);
  assert.equal(warnings('push: base/**', 'pull: base/app'), 0);
});

test('explain and who-can answer for each action', () => {
  const rules = policy(`allow:
  - { id: dev, pull: base/**, to: ana }
  - { id: ci, push: base/**, to: cid, from: 10.0.0.0/8 }`);
  const why = explain(rules, question('push', 'ana', 'base/app'));
  assert.equal(why.decision, 'deny');
  assert.deepEqual(
    why.nearly.map(({ rule, unmet }) => [rule.id, unmet]),
    [['dev', 'action']],
  );
  const who = (action: Action) =>
    whoCan(rules, question(action, 'ana', 'base/app'), []).map((one) => [one.who, one.private, one.from]);
  assert.deepEqual(who('pull'), [
    ['ana', true, undefined],
    ['cid', true, ['10.0.0.0/8']],
  ]);
  assert.deepEqual(who('push'), [['cid', true, ['10.0.0.0/8']]]);
  assert.deepEqual(who('delete'), []);
});
