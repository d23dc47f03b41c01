import { z } from 'zod';
import { ACTIONS } from '../registry/action.ts';

/**
 * A policy as plain data: the content of `access.yaml`, with every name resolved that can be resolved without
 * a request. Auth reads the files and sends this data to the gateways, so that all of them decide by the same
 * policy and none of them parses YAML.
 */
export const RULE_DATA = z.object({
  id: z.string(),
  effect: z.enum(['allow', 'deny']),
  /** The action that the rule is about; absent: `pull`. */
  action: z.enum(ACTIONS).optional(),
  /** The file, and the line and column in it, counted from 1. */
  source: z.string(),
  line: z.int(),
  column: z.int().optional(),
  /**
   * Patterns over canonical names, whatever the action of the rule is. The field has the name of the first
   * action because earlier versions wrote it into their copies of the policy.
   */
  pull: z.array(z.string()).readonly(),
  /** Subjects as in the file: `ana`, `group:platform`, `cert:prod-*`, `authenticated`. */
  to: z.array(z.string()).readonly(),
  /** CIDRs; absent: every address. */
  from: z.array(z.string()).readonly().optional(),
  /** Patterns; absent: every tag. */
  tags: z.array(z.string()).readonly().optional(),
  /** The time in milliseconds from which on the rule has no effect. */
  until: z.number().optional(),
  /**
   * True if the rule includes repositories that cannot be read anonymously upstream. Only an `allow` rule has
   * it.
   */
  private: z.boolean(),
  because: z.string().optional(),
});
export type RuleData = Readonly<z.output<typeof RULE_DATA>>;

/** An amount: at most `max` in any `windowMs` milliseconds. */
const AMOUNT = z.object({ max: z.number(), windowMs: z.number() }).readonly();

/** An entry of `limits`. Its subjects are written like those of a rule. */
export const LIMIT_DATA = z.object({
  id: z.string(),
  source: z.string(),
  line: z.int(),
  column: z.int().optional(),
  to: z.array(z.string()).readonly(),
  from: z.array(z.string()).readonly().optional(),
  except: z.array(z.string()).readonly().optional(),
  /** True if each subject may have this much; false if all of them share it. */
  each: z.boolean(),
  /** The hosts of upstreams; absent: all of them together. */
  upstream: z.array(z.string()).readonly().optional(),
  pulls: AMOUNT.optional(),
  bytes: AMOUNT.optional(),
  because: z.string().optional(),
});
export type LimitData = Readonly<z.output<typeof LIMIT_DATA>>;

/** An entry of `reserve`. */
export const RESERVE_DATA = z.object({
  id: z.string(),
  source: z.string(),
  line: z.int(),
  column: z.int().optional(),
  upstream: z.string(),
  /** The share of the upstream's quota, above 0 and at most 1. */
  keep: z.number(),
  for: z.array(z.string()).readonly(),
  because: z.string().optional(),
});
export type ReserveData = Readonly<z.output<typeof RESERVE_DATA>>;

export const POLICY_DATA = z.object({
  /** A hash that differs if the text of a file differs. */
  version: z.string(),
  /** The members of each group, as in the files. */
  groups: z.record(z.string(), z.array(z.string()).readonly()),
  rules: z.array(RULE_DATA).readonly(),
  limits: z.array(LIMIT_DATA).readonly().optional(),
  reserves: z.array(RESERVE_DATA).readonly().optional(),
  /** The forms of the subjects of each federation, see `SubjectForms`. */
  federations: z.record(z.string(), z.array(z.string()).readonly()).default({}),
});
export type PolicyData = Readonly<z.output<typeof POLICY_DATA>>;

/** Everything except the rules, which can be so many that each is read in a step of its own. */
export const POLICY_WITHOUT_RULES = POLICY_DATA.extend({ rules: z.array(z.unknown()) });
