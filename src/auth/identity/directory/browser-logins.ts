import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { OidcLogin } from '../../../config/login.ts';
import { ExpiringCache } from '../../../platform/expiring-cache.ts';
import { OIDC } from '../../limits.ts';
import type { AuthState } from '../../state/auth-state.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import { followIssuer } from '../federation/issuer-keys.ts';
import { bindPerson } from './bind-person.ts';
import { claimed, confirmOne, endSessionsOf, refusePerson } from './confirm-people.ts';
import type { ConfirmationClaims } from './confirmation-claims.ts';
import { ConfirmationRound } from './confirmation-round.ts';
import { DirectoryUnavailable } from './directory.ts';
import { createVerifyLogoutToken, type LogoutSubject, type VerifyLogoutToken } from './logout-token.ts';
import type { OidcDirectory } from './oidc.ts';
import type { DirectoryLoginsOptions, OpenedDirectory, WatchedQuestion } from './opened-directory.ts';
import { REFRESH_PURPOSE, type TextSeal } from './sealed-text.ts';
import type { UsedLogouts } from './used-logouts.ts';

export type FinishedLogin =
  | { readonly kind: 'done'; readonly person: StoredPerson; readonly returnTo: string }
  /** The words are for the person. */
  | { readonly kind: 'refused'; readonly words: string };

/** Logins at an identity provider, in a browser. */
export interface BrowserLogins {
  /** The names of the logins that have a page of their own. */
  readonly names: readonly string[];
  /**
   * Returns where the browser goes, and the text that it keeps until it comes back. Resolves to undefined if
   * there is no such login, or if `returnTo` leads away from the account page.
   * @throws DirectoryUnavailable
   */
  begin(
    login: string,
    returnTo: string,
  ): Promise<{ readonly location: string; readonly state: string } | undefined>;
  /**
   * Judges what the browser brings back: the query of its address, and the text that it kept.
   * @throws DirectoryUnavailable
   */
  finish(login: string, query: string, state: string): Promise<FinishedLogin>;
  /**
   * Ends the sessions of those who have logged out at the provider, and returns who that is. Resolves to
   * undefined if the token does not count.
   */
  logout(login: string, token: string): Promise<readonly LoggedOutPerson[] | undefined>;
}

export interface LoggedOutPerson {
  readonly name: string;
  /** True if the provider confirms the person no longer. */
  readonly isSuspended: boolean;
}

export interface BrowserLoginsOptions extends DirectoryLoginsOptions {
  readonly opened: readonly OpenedDirectory[];
  readonly seal: TextSeal;
  readonly claims: ConfirmationClaims;
  readonly logouts: UsedLogouts;
  readonly watched: WatchedQuestion;
}

interface OidcEntry {
  readonly login: OidcLogin;
  readonly oidc: OidcDirectory;
  readonly verifyLogout: VerifyLogoutToken;
}

const PENDING = z.object({
  ...{ login: z.string(), returnTo: z.string(), until: z.number() },
  ...{ state: z.string(), nonce: z.string(), verifier: z.string() },
});
const PENDING_PURPOSE = 'pending login';
const RETURN_TO = /^\/account\/[A-Za-z0-9/_-]*(?:\?[A-Za-z0-9=&_%.-]*)?$/;
const EXPIRED: FinishedLogin = {
  kind: 'refused',
  words: 'this login took too long, was finished already, or began in another browser; begin again',
};

export function createBrowserLogins(options: BrowserLoginsOptions): BrowserLogins {
  const { opened, seal, state: stored, users, url, egress, logouts, watched, clock, log } = options;
  const entries = new Map(
    opened.flatMap((one): [string, OidcEntry][] => {
      if (!('oidc' in one)) return [];
      const { login, oidc } = one;
      const keys = followIssuer({ issuer: login.issuer, clock, log, deadline: OIDC.deadline, egress });
      const verifyLogout = createVerifyLogoutToken({ login, keys, logouts, clock });
      return [[login.name, { login, oidc, verifyLogout }]];
    }),
  );
  const finished = new ExpiringCache<{ readonly at: number }>(OIDC.maxFinished, clock);
  const callback = (name: string) => new URL(`/account/login/${name}/callback`, url);

  return {
    names: [...entries.keys()],
    async begin(name, returnTo) {
      const entry = entries.get(name);
      if (entry === undefined || !RETURN_TO.test(returnTo) || returnTo.includes('//')) return undefined;
      const { location, pending } = await watched(name, () => entry.oidc.begin(callback(name)));
      const until = clock() + OIDC.pendingFor;
      return {
        location,
        state: seal.seal(PENDING_PURPOSE, JSON.stringify({ ...pending, login: name, returnTo, until })),
      };
    },
    async finish(name, query, text) {
      const entry = entries.get(name);
      const pending = parsePending(seal.open(PENDING_PURPOSE, text));
      const now = clock();
      if (entry === undefined || pending?.login !== name) return EXPIRED;
      if (pending.until <= now || pending.until > now + OIDC.pendingFor + OIDC.clockTolerance * 1000)
        return EXPIRED;
      if (finished.get(pending.state) !== undefined) return EXPIRED;
      finished.set(pending.state, { at: now }, 2 * OIDC.pendingFor);
      const current = callback(name);
      current.search = query;
      const answer = await watched(name, () => entry.oidc.finish(current, pending));
      if ('refused' in answer) {
        log.warn({ login: name, reason: answer.refused }, 'a login at a directory was refused');
        return { kind: 'refused', words: answer.refused };
      }
      const { refreshToken } = answer.person;
      const refresh = refreshToken === undefined ? null : seal.seal(REFRESH_PURPOSE, refreshToken);
      const facts = { state: stored, users: users.current, login: name, refresh, now };
      const bound = await bindPerson(answer.person, facts);
      if ('refused' in bound) {
        log.warn({ login: name, reason: bound.refused }, 'a login at a directory was refused');
        return { kind: 'refused', words: bound.refused };
      }
      return { kind: 'done', person: bound.person, returnTo: pending.returnTo };
    },
    async logout(name, token) {
      const entry = entries.get(name);
      const subject = await entry?.verifyLogout(token);
      if (entry === undefined || subject === undefined) return undefined;
      const { sub, sid } = subject;
      // A token that names a person ends all of their sessions: a provider may name only one of these.
      const only = sub === undefined ? sid : undefined;
      const ended: LoggedOutPerson[] = [];
      for (const person of await peopleOf(name, subject, stored)) {
        await endLogin(person, entry, options, only);
        const { name: user } = person;
        ended.push({ name: user, isSuspended: (await stored.person(user))?.refusedAt !== null });
      }
      return ended;
    },
  };
}

/** Returns the person whom a logout token names, or whose session it names. */
async function peopleOf(
  login: string,
  { sub, sid }: LogoutSubject,
  state: Pick<AuthState, 'people' | 'personOf' | 'sessions'>,
): Promise<readonly StoredPerson[]> {
  if (sub !== undefined) {
    const person = await state.personOf(login, sub);
    return person === undefined ? [] : [person];
  }
  const sessions = (await state.sessions()).filter((one) => one.login === login && one.sid === sid);
  const users = new Set(sessions.map(({ user }) => user));
  // The session here may have ended before the one at the provider.
  return (await state.people()).filter(
    (one) => one.login === login && (one.sid === sid || users.has(one.name)),
  );
}

/**
 * Ends the sessions of a person who has logged out, and confirms the person at once. Their tokens go on only
 * if the provider says yes.
 */
async function endLogin(
  person: StoredPerson,
  { login, oidc }: OidcEntry,
  options: BrowserLoginsOptions,
  sid: string | undefined,
): Promise<void> {
  const { state, watched, log } = options;
  await endSessionsOf(person, state, sid);
  log.info({ login: login.name, user: person.name }, 'somebody has logged out at the identity provider');
  const round = new ConfirmationRound(login.name, options);
  const ask = () =>
    claimed(person.name, round, options, async (current) => {
      if (current.refusedAt !== null) return;
      const said = await watched(login.name, () => confirmOne(current, oidc, round, options));
      if (said === 'cannot') await refusePerson((await state.person(current.name)) ?? current, options);
    });
  try {
    // Another request may ask the provider at this moment, and its answer may be from before the logout.
    const end = performance.now() + OIDC.logoutPatience;
    while (!(await ask()) && performance.now() < end) await delay(OIDC.logoutPause);
  } catch (error) {
    // A provider that cannot be asked has not said no.
    if (!(error instanceof DirectoryUnavailable)) throw error;
  } finally {
    await round.end();
  }
}

function parsePending(text: string | undefined): z.output<typeof PENDING> | undefined {
  return text === undefined ? undefined : PENDING.safeParse(JSON.parse(text)).data;
}
