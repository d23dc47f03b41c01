import { PASSWORD_LENGTH } from '../limits.ts';
import type { CheckPassword } from './check-password.ts';
import { passwordCredential } from './password.ts';
import type { ProvedUser } from './sessions.ts';

export interface PresentedPassword {
  readonly name: string;
  readonly password: string;
  /** The address of the client. */
  readonly address: string;
  /** Aborted when nobody wants the verdict any more. */
  readonly signal: AbortSignal;
}

/** Judges a password for a session. The delays of wrong guesses are those of every other login. */
export type ProvePassword = (presented: PresentedPassword) => Promise<ProvedUser | 'wrong' | 'busy'>;

/**
 * Only a person's password counts. A token does not: if one were stolen, it could otherwise make more tokens, which
 * its owner does not know of.
 */
export function createProvePassword(checkPassword: CheckPassword): ProvePassword {
  return async ({ name, password, address, signal }) => {
    if (password.length > PASSWORD_LENGTH.most) return 'wrong';
    const checked = await checkPassword({ username: name, password, address, counts: true, signal });
    if (checked.kind !== 'right') return checked.kind;
    const { user, hash } = checked;
    return user.isService
      ? 'wrong'
      : { user: user.name, login: null, credential: passwordCredential(user.name, hash) };
  };
}
