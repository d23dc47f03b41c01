/**
 * What may stand in `access.yaml`, as schemas: for the reader, and for editors by `hubgate schema access`. Their messages say
 * only what was expected.
 */
import { z } from 'zod';
import { oneOrMany, section } from '../platform/yaml-schema.ts';
import { parseNetwork } from './network.ts';

const TEXT = z.string('a text');
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const ID = z.string('a name').regex(NAME, 'a name of letters, digits and ._-');
const SUBJECT = z.string('a user, group:…, cert:…, oidc:…, authenticated or anonymous');
const MEMBER = z.string('a user, cert:… or oidc:…');
const PULL = z.string('a pattern such as library/**, a $set, or everything');
const TAG = z.string('a tag or a pattern such as "1.*"');
const CIDR = z
  .string('a network such as 10.0.0.0/8')
  .refine((cidr) => parseNetwork([cidr]) !== undefined, 'a network such as 10.0.0.0/8');
const ADDRESS = z
  .string('an address such as 10.1.2.3')
  .refine((text) => !text.includes('/') && parseNetwork([text]) !== undefined, 'an address such as 10.1.2.3');
const MOMENT = z
  .string('a date such as 2027-01-31, or a time such as 2027-01-31T18:00:00Z')
  .refine(
    (text) => parseMoment(text) !== undefined,
    'a date such as 2027-01-31, or a time such as 2027-01-31T18:00:00Z',
  );

const DENY_RULE = {
  id: ID.optional().describe('A name of its own, for the audit log and `hubgate access explain`.'),
  pull: oneOrMany(PULL).describe('Which repositories: patterns of whole names, $sets, or everything.'),
  to: oneOrMany(SUBJECT).describe('Whom it means.'),
  from: oneOrMany(CIDR).optional().describe('Only from these networks.'),
  tags: oneOrMany(TAG)
    .optional()
    .describe('Only when one of these tags is resolved; a pull by digest is not.'),
  until: MOMENT.optional().describe('The last day (in UTC), or the time, after which the rule is gone.'),
  because: TEXT.optional().describe('Why. Of a deny, the caller is shown it.'),
};

export const ALLOW_RULE = section({
  ...DENY_RULE,
  private: z
    .boolean('true or false')
    .optional()
    .describe('true: also repositories that only the service account can read.'),
});
export const DENY_RULES = section(DENY_RULE);

export const POLICY_TEST = section({
  who: SUBJECT.describe('A subject, such as ana, cert:prod-7 or anonymous.'),
  pull: z.string('a repository, with a tag or without').describe('A repository, with :tag or without.'),
  from: ADDRESS.optional().describe('From this address.'),
  at: MOMENT.optional().describe('On this day or at this time.'),
  expect: z.enum(['allow', 'deny'], 'allow or deny'),
});

const ANYTHING = z.unknown().optional();
/** The keys of a file, whatever stands under them: each part is read on its own, so that no mistake hides another. */
export const POLICY_KEYS = section({
  version: ANYTHING,
  groups: ANYTHING,
  sets: ANYTHING,
  allow: ANYTHING,
  deny: ANYTHING,
  tests: ANYTHING,
});

export const VERSION = z.literal(1, '1, the version of this format');
export const NAMED = z.record(ID, ANYTHING, 'a map of names').optional();
export const LIST = z.array(ANYTHING, 'a list').optional();
export const MEMBERS = oneOrMany(MEMBER);
export const PATTERNS = oneOrMany(PULL);

/** A file as a whole. */
export const POLICY_FILE = section({
  version: VERSION,
  groups: z.record(ID, MEMBERS).optional().describe('Names for users that belong together.'),
  sets: z.record(ID, PATTERNS).optional().describe('Names for patterns that belong together: $name.'),
  allow: z
    .array(ALLOW_RULE)
    .optional()
    .describe('Any of these that matches grants, unless a deny matches too.'),
  deny: z.array(DENY_RULES).optional().describe('Any of these that matches refuses.'),
  tests: z
    .array(POLICY_TEST)
    .optional()
    .describe('What must hold. A file that fails one of them is not used.'),
});

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Milliseconds; a date is the whole day, in UTC. */
export function parseMoment(text: string): { readonly begins: number; readonly ends: number } | undefined {
  const isDate = DATE.test(text);
  if (!isDate && !TIME.test(text)) return undefined;
  const begins = Date.parse(text);
  // What a month does not have, `Date` moves to the next one.
  if (Number.isNaN(begins) || (isDate && !new Date(begins).toISOString().startsWith(text))) return undefined;
  return { begins, ends: isDate ? begins + 24 * 60 * 60_000 : begins };
}
