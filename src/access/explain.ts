import { limitsFor, reservesFor } from './limits.ts';
import { type AccessQuestion, type Condition, decide, type Policy, unmet } from './policy.ts';
import type { LimitData, ReserveData, RuleData } from './policy-data.ts';
import type { Rule } from './rule.ts';

/** The reasons for a decision. */
export interface Explanation {
  readonly decision: 'allow' | 'deny';
  /** True if the read access includes private content. */
  readonly private: boolean;
  /** The rule that decides; undefined if none matches. */
  readonly rule?: RuleData;
  /** Every rule that matches, including the one that decides. */
  readonly matched: readonly RuleData[];
  /** The allow rules that fail one condition only: the smallest edits that would allow the pull. */
  readonly nearly: readonly NearRule[];
  /** The limits that count the pull, whether it is allowed or not. */
  readonly limits: readonly LimitData[];
  /** The reserves of the upstream, and whether they are kept for the subject or for others. */
  readonly reserves: readonly { readonly reserve: ReserveData; readonly isOwn: boolean }[];
}

export interface NearRule {
  readonly rule: RuleData;
  readonly unmet: Condition;
}

export function explain(policy: Policy, question: AccessQuestion): Explanation {
  const decision = decide(policy, question);
  const matched = policy.rules.filter((rule) => unmet(rule, question).length === 0);
  const deciding = matched.find(({ data }) => data.id === decision.rule)?.data;
  const limited = { ...question, upstream: question.repository.upstream };
  const { own, others } = reservesFor(policy.limits, limited);
  return {
    decision: decision.decision,
    private: decision.decision === 'allow' && decision.private,
    ...(deciding && { rule: deciding }),
    matched: matched.map(({ data }) => data),
    nearly: policy.rules.flatMap((rule) => nearly(rule, question)),
    limits: limitsFor(policy.limits, limited),
    reserves: [
      ...own.map((reserve) => ({ reserve, isOwn: true })),
      ...others.map((reserve) => ({ reserve, isOwn: false })),
    ],
  };
}

function nearly(rule: Rule, question: AccessQuestion): NearRule[] {
  const conditions = unmet(rule, question);
  const [only] = conditions;
  // A rule for other repositories is left out, because it says nothing about this one.
  return rule.data.effect === 'allow' &&
    conditions.length === 1 &&
    only !== undefined &&
    only !== 'repository'
    ? [{ rule: rule.data, unmet: only }]
    : [];
}
