/**
 * Logins at identity providers, on auth's socket:
 *
 *     POST /login/list      → the logins that have a page of their own
 *     POST /login/begin     a login, and the page to return to → where the browser goes, and what it keeps
 *     POST /login/finish    what the browser brings back → a session
 *     POST /login/logout    a logout token of the provider → the sessions are over
 *
 * A refusal is answered by 400 and an `ACCOUNT_REFUSAL`, whose reasons are for the person.
 */
import { z } from 'zod';
import { CREATED_SESSION } from './account-api.ts';

const LOGIN_NAME = z.string().max(100);

export const LOGIN_LIST = z.object({ logins: z.array(z.string()).readonly() });
export type LoginList = Readonly<z.output<typeof LOGIN_LIST>>;

/** `returnTo` is a path under `/account/`. */
export const LOGIN_BEGIN = z.strictObject({ login: LOGIN_NAME, returnTo: z.string().max(1_000) });

/** `state` is kept in a cookie until the browser comes back, for ten minutes at most. */
export const BEGUN_LOGIN = z.object({ location: z.string(), state: z.string() });
export type BegunLogin = Readonly<z.output<typeof BEGUN_LOGIN>>;

export const LOGIN_FINISH = z.strictObject({
  login: LOGIN_NAME,
  /** The query of the address to which the provider sent the browser, as it is. */
  query: z.string().max(16 * 1024),
  state: z.string().max(4 * 1024),
  /** The client's address, as the gateway determined it. */
  address: z.string().max(100),
});

export const FINISHED_LOGIN = CREATED_SESSION.extend({ user: z.string(), returnTo: z.string() });
export type FinishedBrowserLogin = Readonly<z.output<typeof FINISHED_LOGIN>>;

export const LOGIN_LOGOUT = z.strictObject({ login: LOGIN_NAME, logout_token: z.string().max(16 * 1024) });
