import type { LoginPassword } from '../../protocol/auth-api.ts';
import { LOGIN_LENGTHS } from '../limits.ts';

/** The credentials that a request presents in its `Authorization` header. */
export type PresentedCredentials =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'login'; readonly login: LoginPassword }
  /** The header has an unknown form: it proves nobody. */
  | { readonly kind: 'unreadable' };

/**
 * A login that is too long for any user is wrong, so it is replaced by a short wrong one before auth is
 * asked.
 */
export function boundLogin({ username, password }: LoginPassword): LoginPassword {
  const fits = username.length <= LOGIN_LENGTHS.username && password.length <= LOGIN_LENGTHS.secret;
  return fits ? { username, password } : { username: '', password: '' };
}

export function parseAuthorization(authorization: string | undefined): PresentedCredentials {
  if (authorization === undefined) return { kind: 'nothing' };
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (token !== undefined) return { kind: 'token', token };
  const login = parseBasic(authorization);
  return login === undefined ? { kind: 'unreadable' } : { kind: 'login', login };
}

/** The user name ends at the first colon (RFC 7617). The rest is the password, which may contain colons. */
function parseBasic(authorization: string): LoginPassword | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const decoded = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) return undefined;
  return boundLogin({ username: decoded.slice(0, colon), password: decoded.slice(colon + 1) });
}
