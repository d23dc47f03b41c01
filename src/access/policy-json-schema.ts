import { z } from 'zod';
import { oneOrManyJson, section } from '../platform/yaml/yaml-schema.ts';
import { LIMIT, RESERVE } from './limit-schema.ts';
import {
  ALLOW_RULE,
  DENY_RULES,
  ID,
  MEMBERS,
  PATTERNS,
  POLICY_TEST,
  POLICY_VERSION,
} from './policy-schema.ts';

/** The schema of a whole file. */
const POLICY_FILE = section({
  version: POLICY_VERSION,
  groups: z.record(ID, MEMBERS).optional().describe('Names for users that belong together.'),
  sets: z.record(ID, PATTERNS).optional().describe('Names for patterns that belong together: $name.'),
  allow: z
    .array(ALLOW_RULE)
    .optional()
    .describe('Any of these that matches grants, unless a deny matches too.'),
  deny: z.array(DENY_RULES).optional().describe('Any of these that matches refuses.'),
  limits: z
    .array(LIMIT)
    .optional()
    .describe('How much may be fetched from upstreams. Every one of these that matches applies.'),
  reserve: z.array(RESERVE).optional().describe("Shares of an upstream's quota that are kept for some."),
  tests: z
    .array(POLICY_TEST)
    .optional()
    .describe('What must hold. A file that fails one of them is not used.'),
});

/** Returns the JSON Schema of `access.yaml`, for editors. */
export function policySchema(): object {
  const schema = z.toJSONSchema(POLICY_FILE, {
    io: 'input',
    unrepresentable: 'any',
    override: oneOrManyJson,
  });
  return { ...schema, title: 'The access policy of a Hubgate mirror' };
}
