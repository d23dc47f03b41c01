import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directoryGroupsIn } from '../../src/access/directory-group.ts';
import { explain } from '../../src/access/explain.ts';
import { decide } from '../../src/access/policy.ts';
import { parsePolicy } from '../../src/access/policy-file.ts';
import { parseWrittenSubject } from '../../src/access/subject.ts';
import { whoCan } from '../../src/access/who-can.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { parseRepositoryName } from '../../src/registry/repository.ts';

const NOW = Date.parse('2026-12-01T00:00:00Z');

function parse(rules: string, logins: readonly string[] = ['corp', 'ad']) {
  const text = `version: 1\n${rules}\n...\n`;
  return parsePolicy([{ source: 'access.yaml', label: 'access.yaml', text }], NOW, { forms: {}, logins });
}

function policyOf(rules: string) {
  const parsed = parse(rules);
  assert.ok('value' in parsed, JSON.stringify(parsed));
  return parsed.value.policy;
}

function faultsOf(rules: string, logins?: readonly string[]) {
  const parsed = parse(rules, logins);
  return 'faults' in parsed ? parsed.faults.map(formatFault) : [];
}

const repository = parseRepositoryName('docker.io/acme/pay') ?? assert.fail();

function question(groups: readonly string[]) {
  const subject = parseWrittenSubject('ana') ?? assert.fail();
  return { action: 'pull', subject, groups, address: '', repository, at: NOW } as const;
}

test('a group of a directory matches its own text only, whatever characters it has', () => {
  for (const name of ['payments', '*', '**', 'a.b', 'Zahlungen ü', 'a/b', '${user}', '__proto__']) {
    const policy = policyOf(`allow: [{ id: a, pull: acme/**, to: ${JSON.stringify(`group:corp/${name}`)} }]`);
    const may = (...groups: string[]) => decide(policy, question(groups)).decision;
    assert.equal(may(`corp/${name}`), 'allow', name);
    const others = ['corp/other', 'ad/payments', `corp/${name}x`, `corp/${name.toUpperCase()}X`, name, 'ana'];
    for (const other of others) assert.equal(may(other), 'deny', `${name} ${other}`);
    assert.equal(may(), 'deny');
  }
});

test('a deny, a limit and a reserve can name one, and the names of all of them are known', () => {
  const policy = policyOf(`
allow: [{ id: a, pull: acme/**, to: authenticated }]
deny: [{ id: d, pull: acme/**, to: "group:ad/left" }]
limits: [{ id: l, to: "group:corp/x", except: "group:corp/y", pulls: 40/6h }]
reserve: [{ id: r, upstream: docker.io, keep: 20%, for: "group:corp/z" }]`);
  assert.equal(decide(policy, question(['ad/left'])).decision, 'deny');
  assert.deepEqual(
    explain(policy, question(['corp/x'])).limits.map(({ id }) => id),
    ['l'],
  );
  assert.deepEqual(explain(policy, question(['corp/x', 'corp/y'])).limits, []);
  assert.equal(explain(policy, question(['corp/z'])).reserves[0]?.isOwn, true);
  assert.deepEqual([...directoryGroupsIn(policy.data)], ['ad/left', 'corp/x', 'corp/y', 'corp/z']);
});

test('many rules for the same repositories find a group too', () => {
  const rules = Array.from({ length: 30 }, (_, index) => {
    return `  - { id: r${index}, pull: acme/pay, to: "group:corp/g${index}" }`;
  });
  const policy = policyOf(`allow:\n${rules.join('\n')}`);
  assert.deepEqual(decide(policy, question(['corp/g7'])), { decision: 'allow', rule: 'r7', private: false });
  assert.equal(decide(policy, question(['corp/g30'])).decision, 'deny');
});

test('a login that is not configured, and a name that no group has, are errors with their place', () => {
  const rule = (to: string) => `allow: [{ id: a, pull: acme/x, to: ${to} }]`;
  assert.deepEqual(faultsOf(rule('group:crop/pay')), [
    'access.yaml:2:36: "crop" is no login of hubgate.yaml; did you mean "corp/pay"?',
  ]);
  assert.match(faultsOf(rule('group:x/pay'), [])[0] ?? '', /"x" is no login of hubgate\.yaml; there is none/);
  assert.match(faultsOf(rule('group:corp/'))[0] ?? '', /"corp\/" names no group/);
  assert.match(faultsOf(rule('group:pay'))[0] ?? '', /there is no group "pay"/);
  assert.match(faultsOf('groups: { a: ["group:corp/pay"] }')[0] ?? '', /a group cannot hold a group/);
});

test('a test of the policy can give its subject groups', () => {
  const rule = 'allow: [{ id: a, pull: acme/pay, to: "group:corp/pay" }]';
  const asked = (groups: string, expected: string) =>
    faultsOf(`${rule}\ntests: [{ who: ana, ${groups} pull: acme/pay, expect: ${expected} }]`);
  assert.deepEqual(asked('groups: [corp/pay],', 'allow'), []);
  assert.deepEqual(asked('groups: corp/pay,', 'allow'), []);
  assert.match(asked('groups: [corp/other],', 'allow')[0] ?? '', /expects allow, but no rule allows it/);
  assert.deepEqual(asked('', 'deny'), []);
  assert.match(asked('groups: [pay],', 'allow')[0] ?? '', /3:30: "pay" is no group of a directory/);
  assert.match(asked('groups: [crop/pay],', 'allow')[0] ?? '', /"crop" is no login/);
});

test('who-can answers for a group of a directory as a whole', () => {
  const policy = policyOf(`
allow:
  - { id: a, pull: acme/**, to: ["group:corp/pay", ana] }
  - { id: b, pull: other/**, to: "group:corp/ops" }`);
  const answers = whoCan(policy, { action: 'pull', repository, at: NOW }, []);
  assert.deepEqual(
    answers.map(({ who }) => who),
    ['group:corp/pay', 'ana'],
  );
});
