import type { Fault } from '../platform/fault.ts';
import { coversSubject, type GroupMembers } from './covered-subject.ts';
import { whyNoFederatedSubject } from './federated-pattern.ts';
import { matchesPattern, type Pattern } from './pattern.ts';
import type { Policy } from './policy.ts';
import type { PolicyData, RuleData } from './policy-data.ts';
import type { Rule } from './rule.ts';
import { groupNameOf, isFederated, splitSubject } from './subject.ts';

/**
 * Finds rules that are valid but have no effect: those that have expired, and those that a deny covers
 * completely.
 */
export function lintPolicy(policy: Policy, now: number): Fault[] {
  const nobody = limitEntries(policy).flatMap((entry) => lintFederated(entry, policy));
  return [...lintRules(policy, now), ...nobody];
}

/** An entry of the policy that names subjects. */
interface SubjectEntry {
  /** The name and the id of the entry, as a message begins: `the rule "pay"`. */
  readonly called: string;
  readonly place: Pick<RuleData, 'source' | 'line' | 'column'>;
  readonly who: readonly string[];
}

function ruleEntry({ id, to, ...place }: RuleData): SubjectEntry {
  return { called: `the rule "${id}"`, place, who: to };
}

/** Returns the limits and reserves. */
function limitEntries({ data: { limits = [], reserves = [] } }: Policy): readonly SubjectEntry[] {
  return [
    ...limits.map(({ id, to, except = [], ...place }) => {
      return { called: `the limit "${id}"`, place, who: [...to, ...except] };
    }),
    ...reserves.map(({ id, for: who, ...place }) => ({ called: `the reserve "${id}"`, place, who })),
  ];
}

/**
 * Finds the limits and reserves of a mirror whose core is a registry of another kind, which counts nothing.
 */
export function lintUncounted(policy: Policy): Fault[] {
  return limitEntries(policy).map((entry) =>
    warningOf(
      entry,
      'has no effect, because "core.url" of hubgate.yaml names another registry as the core, and only the built-in core counts what each subject pulls',
    ),
  );
}

function lintRules(policy: Policy, now: number): Fault[] {
  return policy.rules.flatMap((rule): Fault[] => {
    const nobody = lintFederated(ruleEntry(rule.data), policy);
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
function lintFederated(entry: SubjectEntry, { data: { groups, federations } }: Policy): Fault[] {
  return federatedIn(entry, groups).flatMap((text) => {
    const subject = splitSubject(text);
    const why = subject && whyNoFederatedSubject(subject, federations);
    return why === undefined ? [] : [warningOf(entry, `names "${text}", but ${why}`)];
  });
}

/** Finds federated subjects of federations that are not configured, so that nobody can log in with them. */
export function lintFederations(policy: Policy, configured: ReadonlySet<string>): Fault[] {
  const { rules, groups } = policy.data;
  return [...rules.map(ruleEntry), ...limitEntries(policy)].flatMap((entry) =>
    federatedIn(entry, groups).flatMap((text) => {
      const [, federation = ''] = text.split(':');
      if (configured.has(federation) || federation === '**') return [];
      return [warningOf(entry, `names "${text}", but hubgate.yaml has no federation "${federation}"`)];
    }),
  );
}

function federatedIn({ who: to }: SubjectEntry, groups: PolicyData['groups']): string[] {
  const all = to.flatMap((who) => [who, ...(membersOf(who, groups) ?? [])]);
  return [...new Set(all)].filter((who) => {
    const written = splitSubject(who);
    return written !== undefined && isFederated(written);
  });
}

/**
 * Returns the denies that may cover the rule, in the order of the files. They match some of its repositories
 * and some of its subjects.
 */
function deniesNear({ patterns: [pattern], to }: Rule, { patterns, subjects }: Policy): Rule[] {
  const [who] = to;
  if (pattern === undefined || who === undefined) return [];
  const keys = subjects.keysOfAny(who.text);
  const near = new Set<Rule>();
  for (const candidates of patterns.find(sampleOf(pattern.text, MIDDLING), USER)) {
    for (const list of candidates.areFew ? [candidates.all] : candidates.withKeys(keys)) {
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

function warning(rule: RuleData, message: string): Fault {
  return warningOf(ruleEntry(rule), message);
}

function warningOf({ called, place: { source, line, column } }: SubjectEntry, message: string): Fault {
  return { source, line, ...(column !== undefined && { column }), message: `${called} ${message}` };
}

function covers({ patterns, data: deny }: Rule, { data: rule }: Rule, policy: Policy): boolean {
  return (
    coversAction(deny, rule) &&
    rule.pull.every((pattern) => patterns.some((wider) => coversPattern(wider, pattern))) &&
    rule.to.every((who) => coversSubject(deny.to, who, groupsIn(policy))) &&
    (deny.from === undefined || isSame(deny.from, rule.from)) &&
    // A pull by digest is granted by an allow of some tags, but is not refused by a deny of some tags.
    deny.tags === undefined &&
    (deny.until === undefined || (rule.until !== undefined && rule.until <= deny.until))
  );
}

/** A rule of push allows pulls too, so only a deny of pull refuses all that it allows. */
function coversAction({ action: denied = 'pull' }: RuleData, { action }: RuleData): boolean {
  return denied === 'pull' || (denied === 'delete' && action === 'delete');
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

function groupsIn({ data: { groups }, subjects }: Policy): GroupMembers {
  return { membersOf: (group) => groups[group], groupsOf: (member) => subjects.groupsOf(member) };
}

function membersOf(who: string, groups: PolicyData['groups']): readonly string[] | undefined {
  const name = groupNameOf(who);
  return name === undefined ? undefined : groups[name];
}
