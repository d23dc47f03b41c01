import { isDiskFailure } from '../../platform/disk-failure.ts';
import { isPermissionDenied } from '../../platform/reason.ts';
import type { CheckPassword } from '../identity/check-password.ts';
import type { CredentialRegistry } from '../identity/credential-registry.ts';
import { type PasswordParameters, whyNoPassword } from '../identity/password.ts';
import type { WatchedUsers } from '../identity/users-watcher.ts';
import { PASSWORD_CHANGES } from '../limits.ts';
import { changeUser, type UserStores } from './users.ts';

export interface OwnPasswordChange {
  readonly name: string;
  readonly current: string;
  readonly password: string;
  /** The address of the client. */
  readonly address: string;
  /** Aborted when nobody wants the answer any more. */
  readonly signal: AbortSignal;
}

export type OwnPasswordOutcome =
  /** `credential` is the id of the new password. */
  | { readonly kind: 'done'; readonly credential: string }
  /** The current password is wrong. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'wrong'; readonly reasons: readonly string[] };

export type ChangeOwnPassword = (change: OwnPasswordChange) => Promise<OwnPasswordOutcome>;

export interface OwnPasswordOptions {
  readonly stores: UserStores;
  readonly users: Pick<WatchedUsers, 'look'>;
  readonly credentials: Pick<CredentialRegistry, 'refresh'>;
  readonly checkPassword: CheckPassword;
  readonly parameters: PasswordParameters;
}

/**
 * Lets somebody of the users file set their own password. The file is written as `hubgate user passwd` writes
 * it, so everything that was issued for the old password ends.
 */
export function createChangeOwnPassword(options: OwnPasswordOptions): ChangeOwnPassword {
  const { stores, users, credentials, checkPassword, parameters } = options;
  let underWay = 0;
  const change = async ({
    name,
    current,
    password,
    address,
    signal,
  }: OwnPasswordChange): Promise<OwnPasswordOutcome> => {
    const why = whyNoPassword(password);
    if (why !== undefined) return { kind: 'wrong', reasons: [why] };
    const attempt = { username: name, password: current, address, counts: true, signal };
    const checked = await checkPassword(attempt);
    if (checked.kind !== 'right') return { kind: checked.kind === 'busy' ? 'busy' : 'refused' };
    const outcome = await changeUser(stores, { kind: 'set-password', name, password, parameters });
    await users.look();
    await credentials.refresh();
    return outcome.kind === 'done' && outcome.credential !== undefined
      ? { kind: 'done', credential: outcome.credential }
      : { kind: 'wrong', reasons: ['the password cannot be changed at the moment; ask an operator'] };
  };
  return async (wanted) => {
    if (underWay >= PASSWORD_CHANGES) return { kind: 'busy' };
    underWay++;
    try {
      return await change(wanted);
    } catch (error) {
      if (!isDiskFailure(error) && !isPermissionDenied(error)) throw error;
      const reason = 'the mirror cannot write its users file; ask an operator to change the password';
      return { kind: 'wrong', reasons: [reason] };
    } finally {
      underWay--;
    }
  };
}
