import { compilePolicyInSteps, type Policy } from './policy.ts';
import { POLICY_WITHOUT_RULES, type PolicyData, RULE_DATA, type RuleData } from './policy-data.ts';

/** A policy and its serialized form. */
export interface SerializedPolicy {
  readonly policy: Policy;
  readonly serialized: string;
}

/** Serializes a policy as JSON with each rule on a line of its own, so that it can be read in short steps. */
export function serializePolicy({ rules, ...others }: PolicyData): string {
  const begin = JSON.stringify({ ...others, rules: [] }).slice(0, -CLOSING.length);
  return `${begin}\n${rules.map((rule) => JSON.stringify(rule)).join(',\n')}\n${CLOSING}`;
}

const CLOSING = ']}';

/** Parses a policy that `serializePolicy` has written, in steps. */
export function* deserializingPolicy(serialized: string): Generator<void, Policy> {
  const begin = serialized.indexOf('\n');
  const others = POLICY_WITHOUT_RULES.parse(JSON.parse(serialized.slice(0, begin) + CLOSING));
  const rules: RuleData[] = [];
  for (let from = begin + 1, to: number; ; from = to + 1) {
    to = serialized.indexOf('\n', from);
    if (to < 0) break;
    const line = serialized.slice(from, to);
    if (line !== '') rules.push(RULE_DATA.parse(JSON.parse(line.replace(/,$/, ''))));
    yield;
  }
  return yield* compilePolicyInSteps({ ...others, rules });
}
