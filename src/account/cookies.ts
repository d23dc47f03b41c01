import { LOGIN_COOKIE, SESSION_COOKIE } from '../protocol/account-page.ts';
import { REQUEST_LENGTHS } from './limits.ts';

/** The form of what auth makes: 256 bits in base64url. */
const SECRET = /^[A-Za-z0-9_-]{43}$/;

/**
 * Returns the session of a request; undefined if it has none. A browser sends a cookie of this name once, so
 * two of them are an attempt, and count as none.
 */
export function sessionCookieIn(cookies: string | undefined): string | undefined {
  const value = cookieValue(cookies, SESSION_COOKIE);
  return value !== undefined && SECRET.test(value) ? value : undefined;
}

function cookieValue(cookies: string | undefined, name: string): string | undefined {
  if (cookies === undefined || cookies.length > REQUEST_LENGTHS.cookies) return undefined;
  const values = cookies
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one.startsWith(`${name}=`));
  return values.length === 1 ? values[0]?.slice(name.length + 1) : undefined;
}

/** Returns what the browser keeps while somebody logs in at an identity provider. */
export function loginCookieIn(cookies: string | undefined): string | undefined {
  return cookieValue(cookies, LOGIN_COOKIE);
}

/** The provider leads the browser back from another site, and only a cookie that is lax comes along then. */
const LAX = 'Path=/; Secure; HttpOnly; SameSite=Lax';

export function loginCookie(state: string): string {
  return `${LOGIN_COOKIE}=${state}; ${LAX}; Max-Age=600`;
}

export function endedLoginCookie(): string {
  return `${LOGIN_COOKIE}=; ${LAX}; Max-Age=0`;
}

/** A page of another site never makes a browser send this cookie, and no program of a page can read it. */
const STRICT = 'Path=/; Secure; HttpOnly; SameSite=Strict';

export function sessionCookie(session: string, expiresAt: number, now: number): string {
  return `${SESSION_COOKIE}=${session}; ${STRICT}; Max-Age=${Math.floor((expiresAt - now) / 1000)}`;
}

export function endedSessionCookie(): string {
  return `${SESSION_COOKIE}=; ${STRICT}; Max-Age=0`;
}
