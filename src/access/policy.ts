/**
 * Decides whether a subject may pull, push or delete something, from a policy that was read before. It is
 * pure, so that a gateway can ask it at every request and `hubgate access` can explain it. It knows nothing
 * of tokens, caches or what exists.
 */

import { type Network, parseNetwork } from '../platform/network.ts';
import { runAtOnce } from '../platform/scheduling/time-slicing.ts';
import type { Action } from '../registry/action.ts';
import type { Tag } from '../registry/reference.ts';
import { isHosted, type Repository } from '../registry/repository.ts';
import { CandidateRules, type RulePattern } from './candidate-rules.ts';
import { compileLimits, type Limits } from './limits.ts';
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';
import { PatternIndex } from './pattern-index.ts';
import { isHostedPattern } from './pattern-text.ts';
import type { PolicyData, RuleData } from './policy-data.ts';
import type { Rule } from './rule.ts';
import { nameOf, type Subject } from './subject.ts';
import { compileSubjects, type SubjectPatterns } from './subject-pattern.ts';

export interface Policy {
  readonly data: PolicyData;
  /** The rules in the order of the files, which only helps people to find them. */
  readonly rules: readonly Rule[];
  /** The patterns of all rules. */
  readonly patterns: PatternIndex<CandidateRules>;
  readonly subjects: SubjectPatterns;
  readonly limits: Limits;
}

/** A request that must be decided. */
export interface AccessQuestion {
  readonly action: Action;
  readonly subject: Subject;
  /** The groups of directories that the subject has, such as `corp/payments`. */
  readonly groups?: readonly string[];
  /** The address of the client, as the gateway has decided it (`gateway/http/client-address.ts`). */
  readonly address: string;
  readonly repository: Repository;
  /** The tag to be resolved. It is absent for everything else, which is judged by its repository. */
  readonly tag?: Tag;
  /** True if the request concerns every tag, as the deletion of a manifest does. */
  readonly everyTag?: boolean;
  /** The time in milliseconds. */
  readonly at: number;
}

export type Decision =
  | { readonly decision: 'allow'; readonly rule: string; readonly private: boolean }
  | { readonly decision: 'deny'; readonly rule?: string; readonly because?: string };

export function compilePolicy(data: PolicyData): Policy {
  return runAtOnce(compilePolicyInSteps(data));
}

/** Compiles a policy in steps, between which other work can run. */
export function* compilePolicyInSteps(data: PolicyData): Generator<void, Policy> {
  const subjects = compileSubjects(data.groups, data.federations);
  const rules: Rule[] = [];
  for (const rule of data.rules) {
    const precedence = rank(rule) * data.rules.length + rules.length;
    rules.push(compileRule(rule, precedence, subjects));
    yield;
  }
  const patterns = new PatternIndex(() => new CandidateRules());
  for (const ranked of RANKS) {
    for (const rule of rules) {
      if (rank(rule.data) !== ranked) continue;
      for (const pattern of rule.patterns) patterns.getOrMake(pattern).add({ rule, pattern });
      yield;
    }
  }
  return { data, rules, patterns, subjects, limits: compileLimits(data, subjects) };
}

function compileRule(data: RuleData, precedence: number, subjects: SubjectPatterns): Rule {
  return {
    data,
    precedence,
    patterns: data.pull.map(compilePattern),
    to: data.to.map((text) => subjects.compile(text)),
    ...(data.from && { from: networkOf(data.from) }),
    ...(data.tags && { tags: data.tags.map(compilePattern) }),
  };
}

function networkOf(cidrs: readonly string[]): Network {
  const network = parseNetwork(cidrs);
  if (network === undefined) throw new Error('a policy was not checked before it was compiled');
  return network;
}

/**
 * Any matching deny wins; otherwise any matching allow grants; otherwise nothing does. The order of the rules
 * never changes the decision, only which of several rules it names.
 */
export function decide(policy: Policy, question: AccessQuestion): Decision {
  const rule = decidingRule(policy, question);
  if (rule === undefined) return { decision: 'deny' };
  const { id, effect, because } = rule.data;
  return effect === 'allow'
    ? { decision: 'allow', rule: id, private: rule.data.private || isHosted(question.repository) }
    : { decision: 'deny', rule: id, ...(because !== undefined && { because }) };
}

/**
 * Returns the first deny in the files that matches, else the first allow of private content, else the first
 * allow.
 */
function decidingRule({ patterns, subjects }: Policy, question: AccessQuestion): Rule | undefined {
  const { name } = question.repository;
  const user = nameOf(question.subject);
  let keys: readonly string[] | undefined;
  let deciding: Rule | undefined;
  for (const candidates of patterns.find(name, user)) {
    if (candidates.areFew) {
      deciding = firstOf(candidates.all, question, user, deciding);
      continue;
    }
    keys ??= subjects.keysOf(question.subject, question.groups);
    for (const list of candidates.withKeys(keys)) deciding = firstOf(list, question, user, deciding);
  }
  return deciding;
}

/** Returns the first rule that matches among those that come before `other`; if none does, `other`. */
function firstOf(
  list: readonly RulePattern[],
  question: AccessQuestion,
  user: string | undefined,
  other: Rule | undefined,
): Rule | undefined {
  for (const { rule, pattern } of list) {
    if (other !== undefined && other.precedence <= rule.precedence) return other;
    // The cheaper test comes first.
    if (appliesTo(rule, question) && reachesRepository(rule, pattern, question.repository, user)) return rule;
  }
  return other;
}

const RANKS = [0, 1, 2];

function rank({ effect, private: reachesPrivate }: RuleData): number {
  return effect === 'deny' ? 0 : reachesPrivate ? 1 : 2;
}

/** The conditions of a rule, each with its test. */
const CONDITIONS = {
  action: ({ data: { effect, action = 'pull' } }: Rule, question: AccessQuestion) => {
    if (action === question.action) return true;
    // Whoever may push may pull, because clients look before they push. Whoever may not pull may not write.
    return effect === 'allow' ? action === 'push' && question.action === 'pull' : action === 'pull';
  },
  subject: ({ to }: Rule, { subject, groups }: AccessQuestion) =>
    to.some((pattern) => pattern.matches(subject, groups)),
  network: ({ from }: Rule, { address }: AccessQuestion) => from === undefined || from.contains(address),
  time: ({ data: { until } }: Rule, { at }: AccessQuestion) => until === undefined || at < until,
  // A pull by digest is judged by its repository: an `allow` of some tags grants it, and a `deny` of some
  // tags does not refuse it.
  tag: ({ tags, data: { effect } }: Rule, { tag, everyTag = false }: AccessQuestion) => {
    if (tags === undefined) return true;
    if (tag === undefined) return (effect === 'allow') !== everyTag;
    return tags.some((pattern) => matchesPattern(pattern, tag, undefined));
  },
} as const;

function appliesTo(rule: Rule, question: AccessQuestion): boolean {
  return (
    CONDITIONS.action(rule, question) &&
    CONDITIONS.time(rule, question) &&
    CONDITIONS.subject(rule, question) &&
    CONDITIONS.tag(rule, question) &&
    CONDITIONS.network(rule, question)
  );
}

export type Condition = 'repository' | keyof typeof CONDITIONS;

/** Returns the conditions of a rule that the question does not meet. If there are none, the rule matches. */
export function unmet(rule: Rule, question: AccessQuestion): readonly Condition[] {
  const conditions: Condition[] = [];
  if (!reaches(rule, question)) conditions.push('repository');
  for (const [name, isMet] of Object.entries(CONDITIONS))
    if (!isMet(rule, question)) conditions.push(name as Condition);
  return conditions;
}

function reaches(rule: Rule, { repository, subject }: AccessQuestion): boolean {
  return rule.patterns.some((pattern) => reachesRepository(rule, pattern, repository, nameOf(subject)));
}

/** An allow reaches a hosted repository only if it names the namespace: `everything` is what is mirrored. */
function reachesRepository(
  { data: { effect } }: Rule,
  pattern: Pattern,
  repository: Repository,
  user: string | undefined,
): boolean {
  if (effect === 'allow' && isHosted(repository) && !isHostedPattern(pattern.literal)) return false;
  return matchesPattern(pattern, repository.name, user);
}
