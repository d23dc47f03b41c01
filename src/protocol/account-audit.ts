/**
 * The decisions of auth in a request for the account page travel as a header of each answer, from auth
 * through the page to the gateway. The gateway adds who asked from where, and writes the audit lines.
 */
import { z } from 'zod';
import { ACCOUNT_ACTIONS } from '../registry/action.ts';
import type { AuditLine } from './audit-line.ts';

/** The header has one word for each decision. */
export const AUDIT_HEADER = 'hubgate-audit';

/** The fields of an audit line that auth knows. A text that is too long for a header is shortened. */
const FIELDS = {
  action: z.enum(ACCOUNT_ACTIONS),
  /** The subject that the decision is about; `anonymous` if nobody has proved who they are. */
  subject: text(300),
  decision: z.enum(['allow', 'deny']),
  credential: text(100).optional(),
  login: text(100).optional(),
  token: text(100).optional(),
  label: text(200).optional(),
  restriction: text(500).optional(),
  reason: text(200).optional(),
} satisfies { readonly [Name in keyof AuditLine]?: z.ZodType };

const ACCOUNT_DECISION = z.object(FIELDS);
export type AccountDecision = Readonly<z.output<typeof ACCOUNT_DECISION>>;

/** The decisions that the header of an answer reports. */
interface ReportedDecisions {
  readonly decisions: readonly AccountDecision[];
  /** The names of fields that this version does not know, as a later version of auth may send them. */
  readonly unknownFields: readonly string[];
  /** The number of decisions that cannot be read. */
  readonly unreadable: number;
}

/** The most decisions that are read of one answer. Only a logout of more people than that causes more. */
const MOST = 20;

export function formatAccountDecision(decision: AccountDecision): string {
  return Buffer.from(JSON.stringify(ACCOUNT_DECISION.parse(decision))).toString('base64url');
}

/** Reads the header of an answer. One decision that cannot be read does not cost the others. */
export function parseAccountDecisions(header: string | string[] | undefined): ReportedDecisions {
  const words = [header ?? []].flat().flatMap((one) => one.split(', '));
  const read = words.slice(0, MOST).flatMap((word) => parseDecision(word) ?? []);
  return {
    decisions: read.map(({ decision }) => decision),
    unknownFields: [...new Set(read.flatMap(({ unknown }) => unknown))],
    unreadable: words.length - read.length,
  };
}

function parseDecision(word: string) {
  try {
    const fields: object = JSON.parse(Buffer.from(word, 'base64url').toString('utf8'));
    const decision = ACCOUNT_DECISION.parse(fields);
    return { decision, unknown: Object.keys(fields).filter((name) => !Object.hasOwn(FIELDS, name)) };
  } catch {
    return undefined;
  }
}

function text(longest: number) {
  return z.string().transform((one) => (one.length <= longest ? one : `${one.slice(0, longest - 1)}…`));
}
