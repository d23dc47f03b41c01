/**
 * May this subject pull this? The whole answer, from a policy that was read before: pure, so that a gateway can ask it at
 * every request and `hubgate access` can explain it. It knows nothing of tokens, caches or what exists.
 */
import type { Tag } from '../registry/reference.ts';
import type { Repository } from '../registry/repository.ts';
import { type Network, parseNetwork } from './network.ts';
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';
import type { PolicyData, RuleData } from './policy-data.ts';
import { nameOf, type Subject } from './subject.ts';
import { compileSubjects, type SubjectPattern } from './subject-pattern.ts';

export interface Policy {
  readonly data: PolicyData;
  /** In the order of the files, which means nothing but where to look. */
  readonly rules: readonly Rule[];
  /** The patterns of all rules by what a name must begin with to match them, and the lengths of these beginnings. */
  readonly byLiteral: ReadonlyMap<string, readonly RulePattern[]>;
  readonly literalLengths: readonly number[];
}

/** A rule whose patterns are compiled. */
export interface Rule {
  readonly data: RuleData;
  readonly order: number;
  readonly pull: readonly Pattern[];
  readonly to: readonly SubjectPattern[];
  readonly from?: Network;
  readonly tags?: readonly Pattern[];
}

interface RulePattern {
  readonly rule: Rule;
  readonly pattern: Pattern;
}

/** A pull to be decided. */
export interface Question {
  readonly subject: Subject;
  /** The TCP peer's, as the socket says it: never from a header. */
  readonly address: string;
  readonly repository: Repository;
  /** The tag that is to be resolved; absent for everything else, which is judged by its repository. */
  readonly tag?: Tag;
  /** Milliseconds. */
  readonly at: number;
}

export type Decision =
  | { readonly decision: 'allow'; readonly rule: string; readonly private: boolean }
  | { readonly decision: 'deny'; readonly rule?: string; readonly because?: string };

export function compilePolicy(data: PolicyData): Policy {
  const subjects = compileSubjects(data.groups);
  const rules = data.rules.map((rule, order) => compileRule(rule, order, subjects));
  const byLiteral = new Map<string, RulePattern[]>();
  for (const rule of rules) {
    for (const pattern of rule.pull) {
      const found = byLiteral.get(pattern.literal);
      if (found === undefined) byLiteral.set(pattern.literal, [{ rule, pattern }]);
      else found.push({ rule, pattern });
    }
  }
  const lengths = new Set([...byLiteral.keys()].map(({ length }) => length));
  return { data, rules, byLiteral, literalLengths: [...lengths].sort((a, b) => a - b) };
}

function compileRule(data: RuleData, order: number, subjects: (text: string) => SubjectPattern): Rule {
  return {
    data,
    order,
    pull: data.pull.map(compilePattern),
    to: data.to.map(subjects),
    ...(data.from && { from: networkOf(data.from) }),
    ...(data.tags && { tags: data.tags.map(compilePattern) }),
  };
}

function networkOf(cidrs: readonly string[]): Network {
  const network = parseNetwork(cidrs);
  if (network === undefined) throw new Error('a policy was not checked before it was compiled');
  return network;
}

/** Any matching deny wins; otherwise any matching allow grants; otherwise nothing does. Order never matters. */
export function decide(policy: Policy, question: Question): Decision {
  const rule = decidingRule(policy, question);
  if (rule === undefined) return { decision: 'deny' };
  const { id, effect, because } = rule.data;
  return effect === 'allow'
    ? { decision: 'allow', rule: id, private: rule.data.private }
    : { decision: 'deny', rule: id, ...(because !== undefined && { because }) };
}

/** The first deny in the files, else the first allow that reaches private content, else the first allow. */
function decidingRule({ byLiteral, literalLengths }: Policy, question: Question): Rule | undefined {
  const { name } = question.repository;
  const user = nameOf(question.subject);
  let deciding: Rule | undefined;
  for (const length of literalLengths) {
    if (length > name.length) break;
    for (const { rule, pattern } of byLiteral.get(name.slice(0, length)) ?? []) {
      // What costs least is asked first.
      if (!name.endsWith(pattern.ending) || !outranks(rule, deciding)) continue;
      if (appliesTo(rule, question) && matchesPattern(pattern, name, user)) deciding = rule;
    }
  }
  return deciding;
}

function outranks(rule: Rule, other: Rule | undefined): boolean {
  return (
    other === undefined ||
    rank(rule) < rank(other) ||
    (rank(rule) === rank(other) && rule.order < other.order)
  );
}

function rank({ data: { effect, private: reachesPrivate } }: Rule): number {
  return effect === 'deny' ? 0 : reachesPrivate ? 1 : 2;
}

/** What a rule asks for, each with its test. */
const CONDITIONS = {
  subject: ({ to }: Rule, { subject }: Question) => to.some((pattern) => pattern.matches(subject)),
  network: ({ from }: Rule, { address }: Question) => from === undefined || from.contains(address),
  time: ({ data: { until } }: Rule, { at }: Question) => until === undefined || at < until,
  // A pull by digest is judged by its repository: an `allow` of some tags grants it, and a `deny` of some does not refuse it.
  tag: ({ tags, data: { effect } }: Rule, { tag }: Question) => {
    if (tags === undefined) return true;
    if (tag === undefined) return effect === 'allow';
    return tags.some((pattern) => matchesPattern(pattern, tag, undefined));
  },
} as const;

function appliesTo(rule: Rule, question: Question): boolean {
  return (
    CONDITIONS.time(rule, question) &&
    CONDITIONS.subject(rule, question) &&
    CONDITIONS.tag(rule, question) &&
    CONDITIONS.network(rule, question)
  );
}

export type Condition = 'repository' | keyof typeof CONDITIONS;

/** What of a rule the question does not meet. None: the rule matches. */
export function unmet(rule: Rule, question: Question): readonly Condition[] {
  const conditions: Condition[] = [];
  if (!reaches(rule, question)) conditions.push('repository');
  for (const [name, isMet] of Object.entries(CONDITIONS))
    if (!isMet(rule, question)) conditions.push(name as Condition);
  return conditions;
}

function reaches({ pull }: Rule, { repository, subject }: Question): boolean {
  return pull.some((pattern) => matchesPattern(pattern, repository.name, nameOf(subject)));
}
