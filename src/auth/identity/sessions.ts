/** The sessions of browsers on the account page. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { formatSubject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import type { CreatedSession } from '../../protocol/account-api.ts';
import { REMEMBERED_LOGINS, SESSIONS } from '../limits.ts';
import type { AuthState, StoredSession } from '../state/auth-state.ts';
import type { CredentialRegistry } from './credential-registry.ts';
import { subjectOfPerson } from './user-subject.ts';

/** Somebody who has just proved who they are. */
export interface ProvedUser {
  readonly user: string;
  /** The name of the login that vouches for them; null if they are in the users file. */
  readonly login: string | null;
  /** The id of the credential that proved it. The session ends when it is in force no longer. */
  readonly credential: string;
  /** The id of the session at the identity provider; absent if there is none. */
  readonly sid?: string | null;
}

/** A session that is in force. */
export type ActiveSession = Omit<StoredSession, 'hash' | 'createdAt'>;

export interface Sessions {
  /** Begins a session. Its id is always new, so nobody can know it before. */
  create(proved: ProvedUser): Promise<CreatedSession>;
  /** Resolves to undefined if there is no such session, or if it is over. */
  find(session: string): Promise<ActiveSession | undefined>;
  /** Resolves to true if there was one. */
  end(session: string): Promise<boolean>;
}

export interface SessionsOptions {
  readonly state: Pick<AuthState, 'session' | 'sessions' | 'putSession' | 'removeSession' | 'useSession'>;
  readonly credentials: Pick<CredentialRegistry, 'current' | 'refresh'>;
  readonly clock: Clock;
}

export function createSessions({ state, credentials, clock }: SessionsOptions): Sessions {
  /** A person of a directory counts only as long as the directory confirms the person. */
  const isInForce = ({ user, credential }: Pick<StoredSession, 'user' | 'credential'>) => {
    const { subject, until = Number.POSITIVE_INFINITY } = credentials.current.inForce[credential] ?? {};
    return subject === formatSubject(subjectOfPerson(user)) && until > clock();
  };

  /** Nothing that was made while the clock was ahead may live too long. */
  const isTooNew = ({ createdAt }: StoredSession, now: number) =>
    createdAt > now + REMEMBERED_LOGINS.clockTolerance;

  const endOf = ({ usedAt, expiresAt }: StoredSession) => Math.min(expiresAt, usedAt + SESSIONS.idle);

  /** Ends what is over, and the oldest sessions of a user who has too many. */
  const makeRoom = async (user: string) => {
    const now = clock();
    const all = await state.sessions();
    const over = all.filter((one) => endOf(one) <= now);
    const own = all.filter((one) => one.user === user && !over.includes(one));
    const surplus = own.slice(0, Math.max(0, own.length - SESSIONS.ofUser + 1));
    for (const { hash } of [...over, ...surplus]) await state.removeSession(hash);
  };

  return {
    async create(proved) {
      // The credential may be newer than the last look.
      if (!isInForce(proved)) await credentials.refresh();
      await makeRoom(proved.user);
      const session = randomBytes(32).toString('base64url');
      const now = clock();
      const expiresAt = now + SESSIONS.lifetime;
      await state.putSession({
        ...{ hash: hashOfSession(session), ...proved, createdAt: now, usedAt: now },
        ...{ expiresAt, authenticatedAt: now, sid: proved.sid ?? null },
      });
      return { session, expiresAt };
    },
    async find(session) {
      const stored = await state.session(hashOfSession(session));
      if (stored === undefined) return undefined;
      const now = clock();
      const isOver = endOf(stored) <= now || isTooNew(stored, now);
      // It may have begun at another node, with a credential that is newer than the last look here.
      if (!isOver && !isInForce(stored)) await credentials.refresh();
      if (isOver || !isInForce(stored)) {
        await state.removeSession(stored.hash);
        return undefined;
      }
      if (now - stored.usedAt >= SESSIONS.recordUsesAfter) await state.useSession(stored.hash, now);
      return stored;
    },
    end: (session) => state.removeSession(hashOfSession(session)),
  };
}

function hashOfSession(session: string): string {
  return createHash('sha256').update(session).digest('hex');
}

/**
 * Returns the CSRF token of a session, which its pages have in their forms. It is made of the session's id,
 * so it need not be stored, and nobody can compute the id from it.
 */
export function csrfTokenOf(session: string): string {
  return createHmac('sha256', session).update('csrf').digest('base64url');
}

export function isCsrfTokenOf(session: string, token: string): boolean {
  const expected = Buffer.from(csrfTokenOf(session));
  const given = Buffer.from(token);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
