import type { Logger } from '../../platform/log.ts';
import type { AuthState } from '../state/auth-state.ts';
import type { RehashPassword } from './check-password.ts';
import type { CredentialRegistry } from './credential-registry.ts';
import { passwordCredential } from './password.ts';
import { replaceHash } from './users-file.ts';
import type { WatchedUsers } from './users-watcher.ts';

export interface RehashOptions {
  readonly file: string;
  readonly users: WatchedUsers;
  readonly credentials: CredentialRegistry;
  readonly state: AuthState;
  readonly log: Logger;
}

/**
 * Renews a hash. The id of a credential changes with its hash, so gateways learn the new id before anything
 * is issued for it. If the file cannot be written, the old hash stays in force, and the login succeeds.
 */
export function createRehashPassword({
  file,
  users,
  credentials,
  state,
  log,
}: RehashOptions): RehashPassword {
  return async (name, from, to) => {
    try {
      if (!(await replaceHash(file, name, from, to))) return from;
      await rebindLogins(state, name, { from, to });
      await users.look();
      await credentials.refresh();
      const holds = users.current.get(name)?.passwordHash === to;
      if (holds) log.info({ user: name }, 'the password of a user is hashed anew');
      return holds ? to : from;
    } catch (error) {
      log.warn({ user: name, err: error }, 'the password of a user cannot be hashed anew');
      return from;
    }
  };
}

/** Moves refresh tokens and sessions of the user to the new hash, because the password is the same. */
async function rebindLogins(
  state: AuthState,
  name: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const before = passwordCredential(name, from);
  for (const login of await state.logins()) {
    if (login.user !== name || login.credential !== before) continue;
    await state.removeLogin(login.id);
    await state.putLogin({ ...login, credential: passwordCredential(name, to) });
  }
  for (const session of await state.sessions()) {
    if (session.user !== name || session.credential !== before) continue;
    await state.removeSession(session.hash);
    await state.putSession({ ...session, credential: passwordCredential(name, to) });
  }
}
