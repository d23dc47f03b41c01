import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compileFederated,
  whyNoFederatedPattern,
  whyNoFederatedSubject,
} from '../../src/access/federated-pattern.ts';
import { expandSubject } from '../../src/auth/identity/federation/expand-subject.ts';
import { subjectForms } from '../../src/config/federation.ts';
import { parseTemplate } from '../../src/config/subject-template.ts';
import { globMatches } from './oracle.ts';
import { ask, FORMS, faultsOf, policyOf, warningsOf } from './support/policy.ts';

const oidc = (name: string) => ({ kind: 'oidc', name }) as const;

const matches = (pattern: string, subject: string) =>
  (compileFederated(oidc(pattern), FORMS) ?? assert.fail(pattern))(subject);

test('a branch name does not pass for the main branch where a rule contains **', () => {
  const policy = policyOf(`allow:
  - { pull: acme/gl, to: "oidc:gitlab:acme/**@branch/main", private: true }
  - { pull: acme/gh, to: "oidc:github:acme/**@refs/heads/main", private: true }
  - { pull: acme/any, to: "oidc:gitlab:acme/**@*/main", private: true }`);
  const says = (who: string, what: string) => ask(policy, who, what).decision;
  assert.equal(says('oidc:gitlab:acme/team/app@branch/main', 'acme/gl'), 'allow');
  assert.equal(says('oidc:gitlab:acme/team/app@branch/topic', 'acme/gl'), 'deny');
  assert.equal(says('oidc:gitlab:acme/team/app@branch/topic@branch/main', 'acme/gl'), 'deny');
  assert.equal(says('oidc:gitlab:acme/team/app@tag/x@branch/main', 'acme/gl'), 'deny');
  assert.equal(says('oidc:github:acme/app@refs/heads/main', 'acme/gh'), 'allow');
  assert.equal(says('oidc:github:acme/app@refs/heads/x@refs/heads/main', 'acme/gh'), 'deny');
  assert.equal(says('oidc:gitlab:acme/app@tag/main', 'acme/any'), 'allow');
  assert.equal(says('oidc:gitlab:acme/app@tag/x/main', 'acme/any'), 'deny');
});

test('a pattern that ends with ** leaves the other claims open, and a branch with @ in its name may still pull', () => {
  for (const pattern of [
    'github:**',
    'github:acme/**',
    'github:acme/pay@**',
    'github:acme/pay@refs/heads/**',
    '**',
  ])
    assert.equal(matches(pattern, 'github:acme/pay@refs/heads/topic@x'), true, pattern);
  for (const pattern of ['gitlab:**', 'gitlab:acme/*@**', 'gitlab:acme/pay@br**', 'gitlab:acme/**@branch/**'])
    assert.equal(matches(pattern, 'gitlab:acme/pay@branch/a/b@c'), true, pattern);
  assert.equal(matches('github:acme/pay@refs/heads/topic@x', 'github:acme/pay@refs/heads/topic@x'), true);
  assert.equal(matches('github:acme/**', 'github:other/acme/pay@refs/heads/main'), false);
  assert.equal(matches('github:acme/**@**', 'github:acme/pay'), false);
  assert.equal(matches('github:acme/**', 'githubx:acme/pay@refs/heads/main'), false);
});

test('a pattern whose wildcard could reach from one claim into another is refused', () => {
  const wrong = [
    'oidc:gitlab:**/main',
    'oidc:gitlab:acme/*',
    'oidc:gitlab:acme/**@*main',
    'oidc:gitlab:**@branch',
    'oidc:github:acme/**main',
    'oidc:github:acme/*',
    'oidc:github:acme/**@',
  ];
  for (const text of wrong) {
    for (const rule of [`allow: [{ pull: acme/a, to: "${text}" }]`, `groups: { ci: ["${text}"] }`]) {
      const [fault = '', ...others] = faultsOf(`version: 1\n${rule}\n...\n`);
      assert.match(
        fault,
        /could reach from one claim into another: subjects of \w+ are written oidc:\w+:…@…/,
      );
      assert.deepEqual(others, []);
    }
  }
  for (const text of ['oidc:*', 'oidc:*:acme/**', 'oidc:git**:acme/a@b', 'oidc:acme/**'])
    assert.match(whyNoFederatedPattern(oidc(text.slice(5)), FORMS) ?? '', /must name the federation/, text);
  assert.match(
    whyNoFederatedPattern(oidc('github:${user}/**'), FORMS) ?? '',
    /names of users and services only/,
  );
  assert.equal(whyNoFederatedPattern(oidc('cluster:system:*:x'), FORMS), undefined);
});

test('a subject that nobody can have is warned of', () => {
  const rule = (who: string) => `allow: [{ pull: acme/a, to: "${who}" }]`;
  for (const who of [
    'oidc:github:acme/pay',
    'oidc:gitlab:acme/pay@main',
    'oidc:acme',
    'oidc:github:acme/pay@',
  ])
    assert.match(warningsOf(rule(who))[0] ?? '', /names "oidc:.*", but (nobody can|it names no)/, who);
  assert.deepEqual(warningsOf(rule('oidc:gitlab:acme/pay@branch/main')), []);
  assert.equal(whyNoFederatedSubject(oidc('cluster:anything'), FORMS), undefined);
});

test('the messages about a federated subject name its kind', () => {
  assert.match(whyNoFederatedPattern(oidc('*'), FORMS) ?? '', /as oidc:NAME:…; oidc:\*\* means everybody/);
  assert.match(whyNoFederatedSubject(oidc('acme'), FORMS) ?? '', /are written oidc:NAME:…/);
  // The messages take the kind from the subject, so they are right for another federated kind too.
  const cert = { kind: 'cert', name: 'github:acme/pay' } as const;
  assert.match(whyNoFederatedSubject(cert, FORMS) ?? '', /are written cert:github:…@…/);
  assert.match(whyNoFederatedPattern({ ...cert, name: '*' }, FORMS) ?? '', /as cert:NAME:…; cert:\*\* means/);
  assert.match(whyNoFederatedSubject({ ...cert, name: 'acme' }, FORMS) ?? '', /are written cert:NAME:…/);
});

const LETTERS = ['a', 'b', '/', '@', ':', '*'];
const value = fc.string({ unit: fc.constantFrom('a', 'b', '/', '@', ':'), minLength: 1, maxLength: 5 });
const piece = fc.string({ unit: fc.constantFrom(...LETTERS, '**'), minLength: 1, maxLength: 5 });
const separator = fc.constantFrom('@', ':', '/', '@/', '::', 'a');
const form = fc.record({
  before: fc.constantFrom('', '', 'x:'),
  between: fc.array(separator, { minLength: 0, maxLength: 2 }),
  behind: fc.constantFrom('', '', '/a'),
});

/**
 * True if the claims can be written so that each one is found again. Otherwise a login and a policy would be
 * refused.
 */
function isWritable(claims: readonly string[], between: readonly string[]): boolean {
  return between.every((sign, index) => `${claims[index]}${sign}`.indexOf(sign) === claims[index]?.length);
}

test('for every template, claims and patterns of claims: text matches text if each claim matches its pattern', () => {
  const given = form.chain((shape) => {
    const count = shape.between.length + 1;
    const claims = (one: fc.Arbitrary<string>) => fc.array(one, { minLength: count, maxLength: count });
    return fc.record({ shape: fc.constant(shape), values: claims(value), patterns: claims(piece) });
  });
  let decided = 0;
  fc.assert(
    fc.property(given, ({ shape: { before, between, behind }, values, patterns }) => {
      const template = parseTemplate(
        `${before}${values.map((_, index) => `\${c${index}}${between[index] ?? behind}`).join('')}`,
      );
      assert.ok('template' in template);
      const federation = { name: 'f', issuer: 'https://i', audience: 'a', subject: template.template };
      const forms = subjectForms([federation]);
      const claims = Object.fromEntries(values.map((text, index) => [`c${index}`, text]));
      const expanded = expandSubject(federation.subject, claims);
      assert.equal('subject' in expanded, isWritable(values, between));
      if (!('subject' in expanded) || !isWritable(patterns, between)) return;
      const written = `f:${before}${patterns.map((text, index) => text + (between[index] ?? behind)).join('')}`;
      if (!written.includes('*')) return;
      assert.equal(whyNoFederatedPattern(oidc(written), forms), undefined, written);
      const byText = compileFederated(oidc(written), forms)?.(`f:${expanded.subject}`);
      const byClaim = patterns.every((pattern, index) => globMatches(pattern, values[index] ?? ''));
      assert.equal(byText, byClaim, `${written} ${expanded.subject}`);
      decided++;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(decided > 500, `${decided}`);
});

test('for every template: other claims are another subject', () => {
  const given = form.chain((shape) => {
    const count = shape.between.length + 1;
    const claims = fc.array(value, { minLength: count, maxLength: count });
    return fc.record({ shape: fc.constant(shape), one: claims, other: claims });
  });
  fc.assert(
    fc.property(given, ({ shape: { before, between, behind }, one, other }) => {
      const text = `${before}${one.map((_, index) => `\${c${index}}${between[index] ?? behind}`).join('')}`;
      const template = parseTemplate(text);
      assert.ok('template' in template);
      const expand = (values: readonly string[]) =>
        expandSubject(
          template.template,
          Object.fromEntries(values.map((claim, index) => [`c${index}`, claim])),
        );
      const [first, second] = [expand(one), expand(other)];
      if (!('subject' in first) || !('subject' in second)) return;
      assert.equal(first.subject === second.subject, one.join('\n') === other.join('\n'));
    }),
    { numRuns: 5_000 },
  );
});
