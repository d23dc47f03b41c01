/** The entries of `limits` and `reserve` in `access.yaml`. Their messages say only what was expected. */
import { z } from 'zod';
import { AMOUNT_FORMS, type AmountUnit, parseAmount, whyNoAmount } from '../platform/windowed-amount.ts';
import { type OtherNames, oneOrMany, section } from '../platform/yaml/yaml-schema.ts';
import { CIDR, ID, meaning, SUBJECT, TEXT } from './policy-schema.ts';

function amount(unit: AmountUnit) {
  const error = ({ input }: { readonly input: unknown }) =>
    typeof input === 'string' || typeof input === 'number'
      ? whyNoAmount(String(input), unit)
      : AMOUNT_FORMS[unit];
  return z.string({ error }).refine((text) => parseAmount(text, unit) !== undefined, { error });
}

const UPSTREAM = z.string('the host of an upstream, such as docker.io');
const WINDOW_BELONGS = 'the window is part of the amount: pulls: 40/6h';

/** Keys that people write in both kinds of entry. */
const OTHER_KEYS: OtherNames = {
  ...meaning('id', ['name']),
  ...meaning('upstream', ['upstreams', 'registry', 'registries', 'host', 'hosts', 'hub']),
  ...meaning('because', ['reason', 'comment', 'why', 'description', 'note']),
  ...Object.fromEntries(
    ['pull', 'repo', 'repos', 'repository', 'repositories', 'image', 'images'].map((key) => [
      key,
      'a limit counts the pulls of all repositories, so remove it',
    ]),
  ),
};

export const LIMIT = section(
  {
    id: ID.describe('A name of its own, for messages, the audit log and metrics.'),
    to: oneOrMany(SUBJECT).describe('Whose pulls count.'),
    from: oneOrMany(CIDR).optional().describe('Only pulls from these networks count.'),
    except: oneOrMany(SUBJECT).optional().describe('Whose pulls do not count, although "to" names them.'),
    each: z
      .boolean('true or false')
      .optional()
      .describe('true: each subject may have this much; otherwise all of them together.'),
    upstream: oneOrMany(UPSTREAM).optional().describe('Only pulls from these upstreams count.'),
    pulls: amount('pulls').optional().describe('The most pulls in any window of this length, such as 40/6h.'),
    bytes: amount('bytes').optional().describe('The most downloaded bytes in any window, such as 50GiB/24h.'),
    because: TEXT.optional().describe('Why. Who has used up the limit is shown it.'),
  },
  {
    ...OTHER_KEYS,
    ...meaning('to', ['user', 'users', 'who', 'subject', 'subjects', 'group', 'groups', 'for', 'account']),
    ...meaning('from', ['network', 'networks', 'ip', 'cidr', 'source']),
    ...meaning('except', ['exclude', 'excludes', 'excluding', 'exempt', 'unless', 'but', 'not']),
    ...meaning('pulls', ['limit', 'quota', 'rate', 'max', 'most', 'count', 'requests', 'manifests']),
    ...meaning('bytes', ['size', 'bandwidth', 'traffic', 'volume', 'download', 'downloads', 'maxSize']),
    ...Object.fromEntries(
      ['per', 'per-user', 'perUser', 'per-subject', 'individual', 'shared', 'by'].map((key) => [
        key,
        'write "each: true" to give each subject this much',
      ]),
    ),
    ...Object.fromEntries(
      ['window', 'period', 'interval', 'within', 'every', 'duration', 'time'].map((key) => [
        key,
        WINDOW_BELONGS,
      ]),
    ),
  },
);

const PERCENT = /^(\d{1,3}(?:\.\d{1,2})?)%$/;
const SHARE = 'a share such as 20%';

export const RESERVE = section(
  {
    id: ID.describe('A name of its own, for messages, the audit log and metrics.'),
    upstream: UPSTREAM.describe('The upstream whose quota is meant.'),
    keep: z
      .string({ error: ({ input }) => whyNoShare(input) })
      .refine((text) => parseShare(text) !== undefined, { error: ({ input }) => whyNoShare(input) })
      .describe('The share of the quota that only "for" may use, such as 20%.'),
    for: oneOrMany(SUBJECT).describe('Who may use it.'),
    because: TEXT.optional().describe('Why. Who has to wait is shown it.'),
  },
  {
    ...OTHER_KEYS,
    ...meaning('for', ['to', 'user', 'users', 'who', 'subject', 'subjects', 'group', 'groups']),
    ...meaning('keep', [
      'reserve',
      'share',
      'percent',
      'part',
      'amount',
      'size',
      'quota',
      'pulls',
      'min',
      'least',
    ]),
  },
);

/** Parses `20%` to 0.2. */
export function parseShare(text: string): number | undefined {
  const percent = Number(PERCENT.exec(text)?.[1]);
  return percent > 0 && percent <= 100 ? percent / 100 : undefined;
}

function whyNoShare(input: unknown): string {
  const text = typeof input === 'string' || typeof input === 'number' ? String(input).trim() : '';
  const [, number] = /^(\d{1,9}(?:\.\d{1,9})?)(?: ?(?:%|percent))?$/i.exec(text) ?? [];
  if (number === undefined) return SHARE;
  if (Number(number) === 0) return `${SHARE}: it is more than 0%`;
  // The reader of the file suggests what only lacks blanks.
  if (parseShare(text.replaceAll(' ', '')) !== undefined) return SHARE;
  const percent =
    Number(number) < 1 && !/%|p/i.test(text) ? Number((Number(number) * 100).toFixed(2)) : Number(number);
  if (percent > 100) return `${SHARE}: it is at most 100%`;
  return parseShare(`${percent}%`) === undefined ? SHARE : `${SHARE}; write ${percent}%`;
}
