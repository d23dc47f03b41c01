import type { Clock } from '../../platform/clock.ts';
import type { Live } from '../../platform/live.ts';
import type { Verdict } from '../identity/authenticate.ts';
import { passwordCredential } from '../identity/password.ts';
import {
  hashOfSecret,
  isSecret,
  loginCredential,
  makeServiceToken,
  parseServiceToken,
  writeServiceToken,
} from '../identity/service-token.ts';
import { subjectOf } from '../identity/user-subject.ts';
import type { User, Users } from '../identity/users-file.ts';
import type { AuthState } from '../state/auth-state.ts';

type Identified = Omit<Verdict & { kind: 'authenticated' }, 'kind'>;

/** Refresh tokens: a person's login that a client may renew without knowing the password, as `docker login` stores it. */
export interface RefreshTokens {
  /** Undefined where none is given: to a service, for a token or a federated login, or to nobody at all. */
  give(identified: Identified, client: string): Promise<string | undefined>;
  /** Whose it is; undefined where it is none, or not any more. */
  redeem(text: string): Promise<Identified | undefined>;
}

export interface RefreshOptions {
  readonly users: Live<Users>;
  readonly state: AuthState;
  readonly clock: Clock;
  /** Milliseconds; undefined: none are given, and those that were are good no more. */
  readonly lifetime: number | undefined;
}

/** Milliseconds. */
const CLOCK_TOLERANCE = 60_000;
const MAX_CLIENT = 100;
/** Of each user: a program that logs in again and again gives back the oldest. */
const MAX_LOGINS = 50;

export function createRefreshTokens({ users, state, clock, lifetime }: RefreshOptions): RefreshTokens {
  const passwordOf = (user: User | undefined): string | undefined => {
    const isPerson = user !== undefined && !user.isDisabled && !user.isService;
    return isPerson && user.passwordHash !== undefined
      ? passwordCredential(user.name, user.passwordHash)
      : undefined;
  };
  return {
    async give({ subject, credential }, client) {
      if (lifetime === undefined || subject.kind !== 'user') return undefined;
      if (passwordOf(users.current.get(subject.name)) !== credential) return undefined;
      await makeRoom(state, subject.name, clock());
      const { id, secret } = makeServiceToken();
      const now = clock();
      await state.putLogin({
        ...{ id, user: subject.name, hash: hashOfSecret(secret), credential, client: plain(client) },
        ...{ createdAt: now, expiresAt: now + lifetime, lastUsedAt: null },
      });
      return writeServiceToken({ id, secret }, 'login');
    },
    async redeem(text) {
      const shown = parseServiceToken(text, 'login');
      if (shown === undefined || lifetime === undefined) return undefined;
      const login = await state.login(shown.id);
      if (login === undefined || !isSecret(shown.secret, login.hash)) return undefined;
      // A token that was issued while the clock was ahead would otherwise live longer.
      if (login.createdAt > clock() + CLOCK_TOLERANCE) return undefined;
      const user = users.current.get(login.user);
      if (user === undefined || login.expiresAt <= clock() || passwordOf(user) !== login.credential)
        return undefined;
      await state.useLogin(login.id, clock());
      return { subject: subjectOf(user), credential: loginCredential(login.id) };
    },
  };
}

async function makeRoom(state: AuthState, user: string, now: number): Promise<void> {
  const own = (await state.logins()).filter((login) => login.user === user);
  const surplus = own.slice(0, Math.max(0, own.length - MAX_LOGINS + 1));
  for (const login of own)
    if (login.expiresAt <= now || surplus.includes(login)) await state.removeLogin(login.id);
}

/** What a client calls itself is shown in lists. */
function plain(client: string): string {
  return client.slice(0, MAX_CLIENT).replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
