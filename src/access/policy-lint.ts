import type { Fault } from '../platform/fault.ts';
import { whyNoFederatedSubject } from './federated-pattern.ts';
import { matchesPattern, type Pattern } from './pattern.ts';
import type { Policy } from './policy.ts';
import type { PolicyData, RuleData } from './policy-data.ts';
import type { Rule } from './rule.ts';
import { groupNameOf, SUBJECT_KINDS, splitSubject } from './subject.ts';

/**
 * Finds rules that are valid but have no effect: those that have expired, and those that a deny covers
 * completely.
 */
export function lintPolicy(policy: Policy, now: number): Fault[] {
  return policy.rules.flatMap((rule): Fault[] => {
    const nobody = lintFederated(rule.data, policy);
    if (nobody.length > 0) return nobody;
    if (isGone(rule.data, now))
      return [warning(rule.data, 'has been over since its "until"; it can be removed')];
    if (rule.data.effect === 'deny') return [];
    const shadow = deniesNear(rule, policy).find(
      (deny) => !isGone(deny.data, now) && covers(deny, rule, policy),
    );
    return shadow === undefined
      ? []
      : [
          warning(
            rule.data,
            `grants nothing: the deny "${shadow.data.id}" refuses everything that it allows`,
          ),
        ];
  });
}

/** Finds federated subjects that nobody can have, because that federation writes its subjects differently. */
function lintFederated(rule: RuleData, { data: { groups, federations } }: Policy): Fault[] {
  return federatedIn(rule, groups).flatMap((text) => {
    const why = whyNoFederatedSubject(splitSubject(text)?.name ?? '', federations);
    return why === undefined ? [] : [warning(rule, `names "${text}", but ${why}`)];
  });
}

/** Finds federated subjects of federations that are not configured, so that nobody can log in with them. */
export function lintFederations(
  { data: { rules, groups } }: Policy,
  configured: ReadonlySet<string>,
): Fault[] {
  return rules.flatMap((rule) =>
    federatedIn(rule, groups).flatMap((text) => {
      const [, federation = ''] = text.split(':');
      if (configured.has(federation) || federation === '**') return [];
      return [warning(rule, `names "${text}", but hubgate.yaml has no federation "${federation}"`)];
    }),
  );
}

function federatedIn({ to }: RuleData, groups: PolicyData['groups']): string[] {
  const all = to.flatMap((who) => [who, ...(membersOf(who, groups) ?? [])]);
  return [...new Set(all)].filter(isFederated);
}

function isFederated(who: string): boolean {
  const written = splitSubject(who);
  return written !== undefined && SUBJECT_KINDS[written.kind] === 'federated';
}

/**
 * Returns the denies that may cover the rule, in the order of the files. They match some of its repositories
 * and some of its subjects.
 */
function deniesNear({ pull, to }: Rule, { patterns, subjects }: Policy): Rule[] {
  const [pattern] = pull;
  const [who] = to;
  if (pattern === undefined || who === undefined) return [];
  const keys = subjects.keysOfAny(who.text);
  const near = new Set<Rule>();
  for (const candidates of patterns.find(sampleOf(pattern.text, MIDDLING), USER)) {
    for (const list of candidates.areFew ? [candidates.all] : candidates.for(keys)) {
      for (const { rule } of list) {
        // Denies come before all other rules.
        if (rule.data.effect !== 'deny') break;
        near.add(rule);
      }
    }
  }
  return [...near].sort((one, other) => one.precedence - other.precedence);
}

function isGone({ until }: RuleData, now: number): boolean {
  return until !== undefined && until <= now;
}

function warning({ id, source, line, column }: RuleData, message: string): Fault {
  return { source, line, ...(column !== undefined && { column }), message: `the rule "${id}" ${message}` };
}

function covers({ pull, data: deny }: Rule, { data: rule }: Rule, policy: Policy): boolean {
  return (
    rule.pull.every((pattern) => pull.some((wider) => coversPattern(wider, pattern))) &&
    rule.to.every((who) => coversSubject(deny.to, who, policy)) &&
    (deny.from === undefined || isSame(deny.from, rule.from)) &&
    // A pull by digest is granted by an allow of some tags, but is not refused by a deny of some tags.
    deny.tags === undefined &&
    (deny.until === undefined || (rule.until !== undefined && rule.until <= deny.until))
  );
}

function isSame(some: readonly string[], others: readonly string[] | undefined): boolean {
  return others?.every((one) => some.includes(one)) === true;
}

/** A character that no name contains, so that only a wildcard can match it. */
const ANY = '\u0001';
const USER = '\u0002';
/** Examples of what wildcards match. `*` does not match a slash. */
interface Sample {
  readonly segment: string;
  readonly any: string;
}

const MIDDLING: Sample = { segment: ANY, any: ANY };
/** The samples go from the shortest match to a long one. */
const SAMPLES: readonly Sample[] = [
  { segment: '', any: '' },
  MIDDLING,
  { segment: ANY, any: `${ANY}/${ANY}` },
  { segment: ANY, any: `${ANY}/${ANY}/${ANY}` },
];

/** True if `wider` matches everything that `pattern` matches. */
function coversPattern(wider: Pattern, pattern: string): boolean {
  return SAMPLES.every((sample) => matchesPattern(wider, sampleOf(pattern, sample), USER));
}

function sampleOf(pattern: string, { segment, any }: Sample): string {
  return pattern
    .replaceAll('${user}', USER)
    .replaceAll(/\*\*|\*/g, (wildcard) => (wildcard === '**' ? any : segment));
}

function coversSubject(wider: readonly string[], who: string, policy: Policy): boolean {
  if (wider.includes(who)) return true;
  if (who !== 'anonymous' && wider.includes('authenticated')) return true;
  const members = membersOf(who, policy.data.groups);
  if (members !== undefined && members.length > 0)
    return members.every((member) => coversSubject(wider, member, policy));
  return policy.subjects.groupsOf(who).some((group) => wider.includes(group));
}

function membersOf(who: string, groups: PolicyData['groups']): readonly string[] | undefined {
  const name = groupNameOf(who);
  return name === undefined ? undefined : groups[name];
}
