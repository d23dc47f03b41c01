import { z } from 'zod';

/**
 * A policy as plain data: what `access.yaml` says, with every name resolved that needs no request to resolve. Auth reads
 * the files and gives this to the gateways, so that all of them decide by the same policy and none of them parses YAML.
 */
export const RULE_DATA = z.object({
  id: z.string(),
  effect: z.enum(['allow', 'deny']),
  /** The file, and the line in it, counted from 1. */
  source: z.string(),
  line: z.int(),
  column: z.int().optional(),
  /** Patterns over canonical names. */
  pull: z.array(z.string()).readonly(),
  /** As in the file: `ana`, `group:platform`, `cert:prod-*`, `authenticated`. */
  to: z.array(z.string()).readonly(),
  /** CIDRs; absent: from everywhere. */
  from: z.array(z.string()).readonly().optional(),
  /** Patterns; absent: every tag. */
  tags: z.array(z.string()).readonly().optional(),
  /** Milliseconds; from this time on the rule is gone. */
  until: z.number().optional(),
  /** Does it reach repositories that cannot be read anonymously upstream? Of an `allow` rule only. */
  private: z.boolean(),
  because: z.string().optional(),
});
export type RuleData = Readonly<z.output<typeof RULE_DATA>>;

export const POLICY_DATA = z.object({
  /** Differs where the text of a file differs. */
  version: z.string(),
  /** Of each group its members, as in the files. */
  groups: z.record(z.string(), z.array(z.string()).readonly()),
  rules: z.array(RULE_DATA).readonly(),
  /** How the subjects of federations are written, see `SubjectForms`. */
  federations: z.record(z.string(), z.array(z.string()).readonly()).default({}),
});
export type PolicyData = Readonly<z.output<typeof POLICY_DATA>>;

/** All but the rules, which can be so many that each is read in a step of its own. */
export const POLICY_BUT_RULES = POLICY_DATA.extend({ rules: z.array(z.unknown()) });
