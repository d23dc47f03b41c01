/**
 * What auth has decided in a request for the account page. It travels as a header of each answer, from auth through
 * the page to the gateway, which adds who asked from where, and writes the line of the audit log.
 */
import { z } from 'zod';
import { ACCOUNT_ACTIONS } from '../registry/action.ts';

/** The header has one word for each decision. */
export const AUDIT_HEADER = 'hubgate-audit';

/** Headers have a greatest length. */
export const LONGEST_REASON = 200;
export const LONGEST_RESTRICTION = 500;

const ACCOUNT_DECISION = z.strictObject({
  action: z.enum(ACCOUNT_ACTIONS),
  /** Who it is about; `anonymous` if nobody has proved who they are. */
  subject: z.string().max(300),
  decision: z.enum(['allow', 'deny']),
  credential: z.string().max(100).optional(),
  login: z.string().max(100).optional(),
  token: z.string().max(100).optional(),
  label: z.string().max(200).optional(),
  restriction: z.string().max(LONGEST_RESTRICTION).optional(),
  reason: z.string().max(LONGEST_REASON).optional(),
});
export type AccountDecision = Readonly<z.output<typeof ACCOUNT_DECISION>>;

/** More than a request can cause, except for a logout of somebody with many names. */
const MOST = 20;

export function formatAccountDecision(decision: AccountDecision): string {
  return Buffer.from(JSON.stringify(decision)).toString('base64url');
}

/**
 * Reads the header of an answer.
 * @throws if it is not what auth sends
 */
export function parseAccountDecisions(header: string | string[] | undefined): readonly AccountDecision[] {
  const words = [header ?? []].flat().flatMap((one) => one.split(', '));
  if (words.length > MOST) throw new Error('the answer names too many decisions');
  return words.map((word) =>
    ACCOUNT_DECISION.parse(JSON.parse(Buffer.from(word, 'base64url').toString('utf8'))),
  );
}
