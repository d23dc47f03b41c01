import type { AccountRefusal } from '../protocol/account-api.ts';

const REASONS: Readonly<Record<Exclude<AccountRefusal['error'], 'WRONG'>, string>> = {
  BAD_CREDENTIALS: 'The name or the password is wrong.',
  TOO_MANY_LOGINS: 'Too many logins wait at the moment. Try again in a minute.',
  UNAVAILABLE: 'The directory does not answer at the moment. Try again in a minute.',
  NO_SESSION: 'Your session is over. Log in again.',
  BAD_CSRF: 'This form is from an earlier session, so nothing was done. Try again.',
};

/** Returns what a page says about a refusal. */
export function reasonsOf({ error, reasons = [] }: AccountRefusal): readonly string[] {
  return error === 'WRONG' ? reasons : [REASONS[error]];
}
