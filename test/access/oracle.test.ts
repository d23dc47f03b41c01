import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { type Decision, decide, type Policy } from '../../src/access/policy.ts';
import { parsePolicy } from '../../src/access/policy-file.ts';
import { parseSubject } from '../../src/access/subject.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { parseTag } from '../../src/registry/reference.ts';
import { resolveRepository } from '../../src/registry/repository.ts';
import { crowdedPolicies, NOW, policies, questions } from './arbitrary-policy.ts';
import { answer, canonicalName, type PlainPolicy, type PlainQuestion, type PlainRule } from './oracle.ts';
import { FORMS } from './support/policy.ts';

const NAMES = { upstreams: new Set(['docker.io', 'ghcr.io', 'local.test:5000']), self: new Set<string>() };

/** A policy as text, a rule a line; and how each rule is called: by its id, or by where it stands. */
function write(policy: PlainPolicy): { text: string; names: ReadonlyMap<PlainRule, string> } {
  const lines = ['version: 1'];
  const names = new Map<PlainRule, string>();
  const flow = (value: unknown) =>
    stringify(value, {
      collectionStyle: 'flow',
      defaultStringType: 'QUOTE_DOUBLE',
      defaultKeyType: 'PLAIN',
      aliasDuplicateObjects: false,
      lineWidth: 0,
    }).trimEnd();
  lines.push(`groups: ${flow(policy.groups)}`, `sets: ${flow(policy.sets)}`);
  for (const effect of ['allow', 'deny'] as const) {
    lines.push(policy[effect].length > 0 ? `${effect}:` : `${effect}: []`);
    for (const rule of policy[effect]) {
      lines.push(`  - ${flow(rule)}`);
      names.set(rule, rule.id ?? `access.yaml:${lines.length}`);
    }
  }
  return { text: `${lines.join('\n')}\n...\n`, names };
}

function parse(text: string): Policy {
  const parsed = parsePolicy([{ source: 'access.yaml', label: 'access.yaml', text }], NOW, { forms: FORMS });
  assert.ok(
    'value' in parsed,
    'faults' in parsed ? `${text}${parsed.faults.map(formatFault).join('\n')}` : '',
  );
  return parsed.value.policy;
}

function ask(policy: Policy, { who, address, repository: written, tag: label, at }: PlainQuestion): Decision {
  const subject = parseSubject(who);
  const repository = resolveRepository(written, [], NAMES);
  assert.ok(subject && repository, `${who} ${written}`);
  assert.equal(repository.name, canonicalName(written));
  const tag = label === undefined ? undefined : parseTag(label);
  return decide(policy, {
    action: 'pull',
    subject,
    address,
    repository,
    at,
    ...(tag === undefined ? {} : { tag }),
  });
}

function expected(
  policy: PlainPolicy,
  question: PlainQuestion,
  names: ReadonlyMap<PlainRule, string>,
): Decision {
  const given = answer(policy, question);
  if (given.rule === undefined) return { decision: 'deny' };
  const rule = names.get(given.rule) ?? '';
  if (given.decision === 'allow') return { decision: 'allow', rule, private: given.private };
  const { because } = given.rule;
  return { decision: 'deny', rule, ...(because === undefined ? {} : { because }) };
}

/** What kinds of answers there are, and how many of each were seen. */
function kindOf(decision: Decision): string {
  if (decision.decision === 'allow') return decision.private ? 'private' : 'public';
  return decision.rule === undefined ? 'nothing' : 'refused';
}

/** That every decision is the one that a naive reading of the design makes. */
function compareWithOracle(plainPolicies: fc.Arbitrary<PlainPolicy>, numRuns: number, more = {}): void {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(plainPolicies, fc.array(questions, { minLength: 30, maxLength: 40 }), (plain, asked) => {
      const { text, names } = write(plain);
      const policy = parse(text);
      for (const question of asked) {
        const decision = ask(policy, question);
        assert.deepEqual(
          decision,
          expected(plain, question, names),
          `${JSON.stringify(question)} of\n${text}`,
        );
        seen.set(kindOf(decision), (seen.get(kindOf(decision)) ?? 0) + 1);
      }
    }),
    { numRuns, ...more },
  );
  const counts = ['public', 'private', 'refused', 'nothing'].map((kind) => seen.get(kind) ?? 0);
  const cases = counts.reduce((sum, count) => sum + count, 0);
  assert.ok(cases >= 15 * numRuns, `${cases} cases`);
  // Where one kind is rare the comparison says little of it.
  assert.ok(Math.min(...counts) > cases / 20, JSON.stringify(Object.fromEntries(seen)));
}

test('every decision is the one that a naive reading of the design makes', () => {
  compareWithOracle(policies, 400);
});

test('and so it is where many rules are for the same repositories, and where there are many of each kind', () => {
  // Policies as large as these would be made smaller for minutes.
  compareWithOracle(crowdedPolicies, 100, { endOnFailure: true });
});
