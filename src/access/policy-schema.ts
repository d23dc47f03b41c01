/**
 * The content of `access.yaml` as schemas, for the reader, and for editors by `hubgate schema access`. Their
 * messages say only what was expected.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseNetwork } from '../platform/network.ts';
import { isObject } from '../platform/object-properties.ts';
import { type OtherNames, oneOrMany, section } from '../platform/yaml/yaml-schema.ts';
import { ACTIONS } from '../registry/action.ts';

export const TEXT = z.string('a text');
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const ID = z.string('a name').regex(NAME, 'a name of letters, digits and ._-');
export const SUBJECT = z.string('a user, group:…, cert:…, oidc:…, authenticated or anonymous');
const MEMBER = z.string('a user, cert:… or oidc:…');
const PATTERN_WORDS = 'a pattern such as library/**, a $set, or everything';
const PULL = z.string(PATTERN_WORDS);
const HOSTED_PATTERN = z.string('a pattern in a hosted namespace such as acme-internal/**, or a $set');
const TAG = z.string('a tag or a pattern such as "1.*"');
export const CIDR = z
  .string('a network such as 10.0.0.0/8')
  .refine((cidr) => parseNetwork([cidr]) !== undefined, {
    error: ({ input }) => `a network such as 10.0.0.0/8${whyNoNetwork(String(input))}`,
  });
const ADDRESS = z
  .string('an address such as 10.1.2.3')
  .refine((text) => !text.includes('/') && parseNetwork([text]) !== undefined, 'an address such as 10.1.2.3');
const MOMENT_FORMS = 'a date such as 2027-01-31, or a time such as 2027-01-31T18:00:00Z';
const MOMENT = z.string(MOMENT_FORMS).refine((text) => parseMoment(text) !== undefined, {
  error: ({ input }) => whyNoMoment(String(input)) ?? MOMENT_FORMS,
});

/** Keys that people write instead of the keys of a rule. */
const OTHER_RULE_KEYS: OtherNames = {
  ...Object.fromEntries(['name', 'rule'].map((key) => [key, 'id'])),
  ...Object.fromEntries(
    ['repo', 'repos', 'repository', 'repositories', 'image', 'images', 'allow', 'deny', 'set'].map((key) => [
      key,
      'pull',
    ]),
  ),
  ...Object.fromEntries(
    ['user', 'users', 'who', 'subject', 'group', 'groups', 'for', 'account'].map((key) => [key, 'to']),
  ),
  ...Object.fromEntries(['network', 'networks', 'ip', 'cidr', 'source'].map((key) => [key, 'from'])),
  ...Object.fromEntries(
    ['expires', 'expire', 'expiry', 'end', 'ends', 'valid-until', 'to-date'].map((key) => [key, 'until']),
  ),
  ...meaning('because', ['reason', 'comment', 'why', 'description', 'note']),
};

/** Returns the words that people write instead of a key. */
export function meaning(key: string, words: readonly string[]): OtherNames {
  return Object.fromEntries(words.map((word) => [word, key]));
}

const DENY_RULE = {
  id: ID.optional().describe('A name of its own, for the audit log and `hubgate access explain`.'),
  pull: oneOrMany(PULL)
    .optional()
    .describe('Which repositories may be pulled: patterns of whole names, $sets, or everything.'),
  push: oneOrMany(HOSTED_PATTERN)
    .optional()
    .describe('In place of `pull`: which hosted repositories may be pushed, and pulled too.'),
  delete: oneOrMany(HOSTED_PATTERN)
    .optional()
    .describe('In place of `pull`: of which hosted repositories content and tags may be deleted.'),
  to: oneOrMany(SUBJECT).describe('Whom it means.'),
  from: oneOrMany(CIDR).optional().describe('Only from these networks.'),
  tags: oneOrMany(TAG)
    .optional()
    .describe('Only when one of these tags is resolved or written; a digest is not a tag.'),
  until: MOMENT.optional().describe('The last day (in UTC), or the time, after which the rule is gone.'),
  because: TEXT.optional().describe('Why. Of a deny, the caller is shown it.'),
};

export const ALLOW_RULE = section(
  {
    ...DENY_RULE,
    private: z
      .boolean('true or false')
      .optional()
      .describe('true: also repositories that only the upstream account can read.'),
  },
  OTHER_RULE_KEYS,
).refine(namesAction, missingAction(PATTERN_WORDS));
export const DENY_RULES = section(DENY_RULE, {
  ...OTHER_RULE_KEYS,
  private: 'a deny refuses private content too, so remove it',
}).refine(namesAction, missingAction(PATTERN_WORDS));

const IMAGE_WORDS = 'a repository, with a tag or without';
const IMAGE = z.string(IMAGE_WORDS);

/** Several names, which can be none. */
const NAMES = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z.array(ID, 'a list of ids'),
);

const GROUPS = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z.array(z.string('a group such as corp/payments'), 'a list of groups such as corp/payments'),
);

export const POLICY_TEST = section({
  who: SUBJECT.describe('A subject, such as ana, cert:prod-7 or anonymous.'),
  groups: GROUPS.optional().describe('The groups of its directory, such as corp/payments.'),
  pull: IMAGE.optional().describe('A repository, with :tag or without.'),
  push: IMAGE.optional().describe('In place of `pull`: a hosted repository, with :tag or without.'),
  delete: IMAGE.optional().describe('In place of `pull`: a hosted repository, with :tag or without.'),
  from: ADDRESS.optional().describe('From this address.'),
  at: MOMENT.optional().describe('On this day or at this time.'),
  expect: z
    .enum(['allow', 'deny', 'public', 'private'], 'allow, deny, public or private')
    .describe(
      'allow, deny; or public: public content and nothing more, private: private content too. allow is either of these.',
    ),
  limits: NAMES.optional().describe('Exactly these limits apply; [] means none.'),
  reserve: NAMES.optional().describe('Exactly these reserves are kept for it; [] means none.'),
}).refine(namesAction, missingAction(IMAGE_WORDS));

/** True if an entry says what it is about. Something that is no entry at all has another fault. */
function namesAction(entry: unknown): boolean {
  return !isObject(entry) || ACTIONS.some((action) => entry[action] !== undefined);
}

/** The fault is reported beside the others of the entry. */
function missingAction(expected: string) {
  return { error: expected, path: ['pull'], when: () => true };
}

const ANYTHING = z.unknown().optional();
/** The keys of a file, with any content: each part is read on its own, so that no mistake hides another. */
export const POLICY_KEYS = section(
  {
    version: ANYTHING,
    groups: ANYTHING,
    sets: ANYTHING,
    allow: ANYTHING,
    deny: ANYTHING,
    limits: ANYTHING,
    reserve: ANYTHING,
    tests: ANYTHING,
  },
  {
    ...meaning('limits', [
      'quota',
      'quotas',
      'rate',
      'rates',
      'rate-limit',
      'rate-limits',
      'rateLimits',
      'budget',
      'budgets',
    ]),
    ...meaning('reserve', ['reserved', 'reservation', 'reservations', 'keep', 'guaranteed']),
  },
);

export const POLICY_VERSION = z.literal(1, '1, the version of this format');
export const NAMED = z.record(ID, ANYTHING, 'a map of names').optional();
export const LIST = z.array(ANYTHING, 'a list').optional();
export const MEMBERS = oneOrMany(MEMBER);
export const PATTERNS = oneOrMany(PULL);

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Parses a date or a time. The result is in milliseconds; a date is the whole day, in UTC. */
export function parseMoment(text: string): { readonly begins: number; readonly ends: number } | undefined {
  const isDate = DATE.test(text);
  if (!isDate && !TIME.test(text)) return undefined;
  const begins = Date.parse(text);
  // `Date` moves a day that the month does not have to the next month.
  if (Number.isNaN(begins) || (isDate && !new Date(begins).toISOString().startsWith(text))) return undefined;
  return { begins, ends: isDate ? begins + 24 * 60 * 60_000 : begins };
}

const DIGITS = /\d+/g;

/**
 * Returns what is wrong with a text that was meant as a date and time, and how to correct it; undefined if
 * the text is nothing of the kind.
 */
function whyNoMoment(text: string): string | undefined {
  if (/^P?\s*\d+\s*[a-z]+$/i.test(text)) return 'a date such as 2027-01-31: a duration is not a date';
  const [date = '', ...rest] = text.trim().split(/[T\s]+/i);
  const day = isoDay(date);
  if (day === undefined) return undefined;
  const time = rest.join(' ');
  const last = lastDayOf(day);
  if (last === undefined || Number(day.slice(8)) === 0) return `${MOMENT_FORMS}: there is no such day`;
  if (day > last) return `a date such as ${last}: there is no such day as ${day}`;
  if (time === '')
    return `a date such as ${day}: the year stands first, and month and day have two digits each`;
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?/.exec(time);
  if (clock === null || Number(clock[1]) > 23 || Number(clock[2]) > 59)
    return `a time such as ${day}T18:00:00Z: there is no such time`;
  const [, hour = '', minute = '', second = '00'] = clock;
  return `a time such as ${day}T${hour.padStart(2, '0')}:${minute}:${second}Z: a time needs T and a zone`;
}

/** Converts `31.03.2027`, `2027/3/31` or `03/31/2027` to `2027-03-31`, even if there is no such day. */
function isoDay(text: string): string | undefined {
  const parts = text.match(DIGITS) ?? [];
  if (parts.length !== 3 || !/^\d+[-./]\d+[-./]\d+$/.test(text)) return undefined;
  const [one = '', two = '', three = ''] = parts;
  if (one.length === 4) return iso(one, two, three);
  // A date with slashes begins with the month, unless that number is larger than 12.
  if (three.length !== 4) return undefined;
  return text.includes('/') && Number(one) <= 12 ? iso(three, one, two) : iso(three, two, one);
}

function iso(year: string, month: string, day: string): string {
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
}

/** Returns the last day of the month of a day; undefined if there is no such month. */
function lastDayOf(day: string): string | undefined {
  const month = Number(day.slice(5, 7));
  if (month < 1 || month > 12) return undefined;
  return new Date(Date.UTC(Number(day.slice(0, 4)), month, 0)).toISOString().slice(0, 10);
}

function whyNoNetwork(text: string): string {
  const [address = '', length = ''] = text.split('/');
  if (/^[\d.]+\s*-\s*[\d.]+$/.test(text))
    return ': a range is written as a network, or as a list of networks';
  if (isIP(address) !== 0 && /^\d+$/.test(length))
    return `: the number of bits behind the slash is at most ${isIP(address) === 4 ? 32 : 128}`;
  const bits = maskBits(length);
  if (isIP(address) === 4 && bits !== undefined) return `: write ${address}/${bits}`;
  if (/^[\d.]+\.?(?:\*|x)/.test(text)) return ': a network has no wildcard';
  return '';
}

/** Returns the number of bits of a mask, such as 16 for `255.255.0.0`. */
function maskBits(mask: string): number | undefined {
  if (isIP(mask) !== 4) return undefined;
  const bits = mask
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('');
  return /^1*0*$/.test(bits) ? bits.replaceAll('0', '').length : undefined;
}
