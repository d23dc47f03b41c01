import { type Condition, decide, type Policy, type Question, type Rule, unmet } from './policy.ts';
import type { RuleData } from './policy-data.ts';

/** Why a question is decided as it is. */
export interface Explanation {
  readonly decision: 'allow' | 'deny';
  /** Does the grant reach private content? */
  readonly private: boolean;
  /** The rule that decides; undefined where none matches. */
  readonly rule?: RuleData;
  /** Every rule that matches, the one that decides among them. */
  readonly matched: readonly RuleData[];
  /** The allow rules that fail by one condition alone: the shortest ways to another answer. */
  readonly nearly: readonly NearRule[];
}

export interface NearRule {
  readonly rule: RuleData;
  readonly unmet: Condition;
}

export function explain(policy: Policy, question: Question): Explanation {
  const decision = decide(policy, question);
  const matched = policy.rules.filter((rule) => unmet(rule, question).length === 0);
  const deciding = matched.find(({ data }) => data.id === decision.rule)?.data;
  return {
    decision: decision.decision,
    private: decision.decision === 'allow' && decision.private,
    ...(deciding && { rule: deciding }),
    matched: matched.map(({ data }) => data),
    nearly: policy.rules.flatMap((rule) => nearly(rule, question)),
  };
}

function nearly(rule: Rule, question: Question): NearRule[] {
  const conditions = unmet(rule, question);
  const [only] = conditions;
  // A rule for other repositories is no way to this one.
  return rule.data.effect === 'allow' &&
    conditions.length === 1 &&
    only !== undefined &&
    only !== 'repository'
    ? [{ rule: rule.data, unmet: only }]
    : [];
}
