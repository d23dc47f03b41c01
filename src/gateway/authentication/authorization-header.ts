import type { LoginPassword } from '../../protocol/auth-api.ts';

/** The credentials that a request presents in its `Authorization` header. */
export type PresentedCredentials =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'login'; readonly login: LoginPassword }
  /** The header has an unknown form: it proves nobody. */
  | { readonly kind: 'unreadable' };

/**
 * The greatest length of a user name, and below it of a secret, in characters. The longest secret is a
 * federated JWT.
 */
const MAX_USERNAME = 255;
export const MAX_SECRET = 16 * 1024;

/**
 * A login that is too long for any user is wrong, so it is replaced by a short wrong one before auth is
 * asked.
 */
export function boundLogin({ username, password }: LoginPassword): LoginPassword {
  const fits = username.length <= MAX_USERNAME && password.length <= MAX_SECRET;
  return fits ? { username, password } : { username: '', password: '' };
}

export function parseAuthorization(authorization: string | undefined): PresentedCredentials {
  if (authorization === undefined) return { kind: 'nothing' };
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (token !== undefined) return { kind: 'token', token };
  const login = readBasic(authorization);
  return login === undefined ? { kind: 'unreadable' } : { kind: 'login', login };
}

/** The user name ends at the first colon (RFC 7617). The rest is the password, which may contain colons. */
function readBasic(authorization: string): LoginPassword | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const decoded = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) return undefined;
  return boundLogin({ username: decoded.slice(0, colon), password: decoded.slice(colon + 1) });
}
