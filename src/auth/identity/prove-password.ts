import type { ObservableValue } from '../../platform/observable-value.ts';
import { PASSWORD_LENGTH } from '../limits.ts';
import type { CheckPassword } from './check-password.ts';
import { personCredential } from './directory/counted-people.ts';
import type { DirectoryPasswords, DirectoryVerdict } from './directory/directory-passwords.ts';
import { passwordCredential } from './password.ts';
import type { ProvedUser } from './sessions.ts';
import type { Users } from './users-file.ts';

export interface PresentedPassword {
  readonly name: string;
  readonly password: string;
  /** The address of the client. */
  readonly address: string;
  /** Aborted when nobody wants the verdict any more. */
  readonly signal: AbortSignal;
}

/** Judges a password for a session. The delays of wrong guesses are those of every other login. */
export type ProvePassword = (
  presented: PresentedPassword,
) => Promise<ProvedUser | 'wrong' | 'busy' | UnprovedPassword>;

export type UnprovedPassword =
  /** The directory of that login does not answer. */
  | { readonly unavailable: string }
  /** The password is right, and there is another reason, for the person. */
  | { readonly refused: string };

/**
 * Only a person's password counts. A token does not: if one were stolen, it could otherwise make more tokens,
 * which its owner does not know of.
 */
export function createProvePassword(
  checkPassword: CheckPassword,
  users: ObservableValue<Users>,
  directoryPasswords?: DirectoryPasswords,
): ProvePassword {
  return async ({ name, password, address, signal }) => {
    if (password.length > PASSWORD_LENGTH.most) return 'wrong';
    if (directoryPasswords !== undefined && !users.current.has(name)) {
      const attempt = { username: name, password, address, counts: true, signal };
      return provedBy(await directoryPasswords.judge(attempt, 'console'));
    }
    const attempt = { username: name, password, address, counts: true, signal };
    const checked = await checkPassword(attempt);
    if (checked.kind === 'wrong' && directoryPasswords !== undefined)
      return provedBy(await directoryPasswords.askForNobody(attempt, 'console'));
    if (checked.kind !== 'right') return checked.kind;
    const { user, hash } = checked;
    return user.isService
      ? 'wrong'
      : { user: user.name, login: null, credential: passwordCredential(user.name, hash) };
  };
}

function provedBy(verdict: DirectoryVerdict): Awaited<ReturnType<ProvePassword>> {
  switch (verdict.kind) {
    case 'right': {
      const { person } = verdict;
      return { user: person.name, login: person.login, credential: personCredential(person) };
    }
    case 'refused':
      return { refused: verdict.words };
    case 'unavailable':
      return { unavailable: verdict.login };
    default:
      return verdict.kind;
  }
}
