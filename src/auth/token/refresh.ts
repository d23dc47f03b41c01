import { canBeRemembered } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import type { Verdict } from '../identity/authenticate.ts';
import { passwordCredential } from '../identity/password.ts';
import {
  formatServiceToken,
  hashOfSecret,
  isTokenSecret,
  loginCredential,
  makeServiceToken,
  parseServiceToken,
} from '../identity/service-token.ts';
import { subjectOfUser } from '../identity/user-subject.ts';
import type { User, Users } from '../identity/users-file.ts';
import { REMEMBERED_LOGINS } from '../limits.ts';
import type { AuthState } from '../state/auth-state.ts';

type RefreshedSubject = Omit<Verdict & { kind: 'authenticated' }, 'kind'>;

/**
 * Refresh tokens: a client may renew a person's login without knowing the password. `docker login` stores
 * such a token.
 */
export interface RefreshTokens {
  /**
   * Resolves to undefined if there is no refresh token: services, service tokens and federated logins get
   * none, and the configuration can turn them off.
   */
  give(identified: RefreshedSubject, client: string): Promise<string | undefined>;
  /** Resolves to the owner; to undefined if it is not a refresh token, or not valid any more. */
  redeem(text: string): Promise<RefreshedSubject | undefined>;
}

export interface RefreshOptions {
  readonly users: ObservableValue<Users>;
  readonly state: AuthState;
  readonly clock: Clock;
  /**
   * The lifetime in milliseconds. If it is undefined, no tokens are issued, and existing ones are not valid.
   */
  readonly lifetime: number | undefined;
}

export function createRefreshTokens({ users, state, clock, lifetime }: RefreshOptions): RefreshTokens {
  const passwordCredentialOf = (user: User | undefined): string | undefined => {
    const isPerson = user !== undefined && !user.isDisabled && !user.isService;
    return isPerson && user.passwordHash !== undefined
      ? passwordCredential(user.name, user.passwordHash)
      : undefined;
  };
  return {
    async give({ subject, credential }, client) {
      if (lifetime === undefined || !canBeRemembered(subject)) return undefined;
      if (passwordCredentialOf(users.current.get(subject.name)) !== credential) return undefined;
      await makeRoom(state, subject.name, clock());
      const { id, secret } = makeServiceToken();
      const now = clock();
      await state.putLogin({
        ...{ id, user: subject.name, hash: hashOfSecret(secret), credential, client: plain(client) },
        ...{ createdAt: now, expiresAt: now + lifetime, lastUsedAt: null },
      });
      return formatServiceToken({ id, secret }, 'login');
    },
    async redeem(text) {
      const presented = parseServiceToken(text, 'login');
      if (presented === undefined || lifetime === undefined) return undefined;
      const login = await state.login(presented.id);
      if (login === undefined || !isTokenSecret(presented.secret, login.hash)) return undefined;
      // A token that was issued while the clock was ahead would live too long.
      if (login.createdAt > clock() + REMEMBERED_LOGINS.clockTolerance) return undefined;
      const user = users.current.get(login.user);
      if (user === undefined || login.expiresAt <= clock() || passwordCredentialOf(user) !== login.credential)
        return undefined;
      await state.useLogin(login.id, clock());
      return { subject: subjectOfUser(user), credential: loginCredential(login.id) };
    },
  };
}

async function makeRoom(state: AuthState, user: string, now: number): Promise<void> {
  const own = (await state.logins()).filter((login) => login.user === user);
  const surplus = own.slice(0, Math.max(0, own.length - REMEMBERED_LOGINS.ofUser + 1));
  for (const login of own)
    if (login.expiresAt <= now || surplus.includes(login)) await state.removeLogin(login.id);
}

/** Makes the name of a client safe to print, because lists display it. */
function plain(client: string): string {
  return client.slice(0, REMEMBERED_LOGINS.longestClient).replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
