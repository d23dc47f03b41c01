import type { Context } from 'koa';
import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import { type AccountDecision, AUDIT_HEADER, formatAccountDecision } from '../../protocol/account-audit.ts';
import { subjectOfPerson } from '../identity/user-subject.ts';

/** A decision about a user of the account page. */
interface UserDecision extends Omit<AccountDecision, 'subject' | 'decision' | 'login'> {
  readonly user: string;
  /** The directory of the user; null if the user is in the users file. */
  readonly login?: string | null;
  readonly isRefused?: boolean;
}

/** Adds a decision to the answer, from where it gets into the audit log. */
export function auditUser(
  context: Context,
  { user, login = null, isRefused = false, ...decision }: UserDecision,
): void {
  const subject = formatSubject(subjectOfPerson(user));
  audit(context, {
    ...{ ...decision, subject, decision: isRefused ? 'deny' : 'allow' },
    ...(login !== null && { login }),
  });
}

/**
 * Records what nobody was allowed. The name that was typed is left out, because it can be a mistyped
 * password.
 */
export function auditRefusal(
  context: Context,
  decision: Pick<AccountDecision, 'action' | 'login'> & { readonly reason: string },
): void {
  audit(context, { ...decision, subject: formatSubject(ANONYMOUS), decision: 'deny' });
}

function audit(context: Context, decision: AccountDecision): void {
  context.append(AUDIT_HEADER, formatAccountDecision(decision));
}

/** The terms of a token as its owner wrote them; null for each that is not restricted. */
type Restriction = Readonly<Record<'pull' | 'push' | 'from', readonly string[] | null>>;

/** Returns what a token may do and from where; nothing if it may do all that its owner may. */
export function restrictionOf({ pull, push, from }: Restriction): Pick<AccountDecision, 'restriction'> {
  const parts = Object.entries({ pull, push, from }).flatMap(([name, list]) =>
    list === null ? [] : [`${name} ${list.join(' ')}`],
  );
  const text = parts.join('; ');
  return text === '' ? {} : { restriction: text };
}
