import type { Login } from '../../registry/auth-api.ts';

/** What a request shows in its `Authorization` header. */
export type Shown =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'login'; readonly login: Login }
  /** Something, in no way that is known here: it proves nobody. */
  | { readonly kind: 'unreadable' };

export function readShown(authorization: string | undefined): Shown {
  if (authorization === undefined) return { kind: 'nothing' };
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (token !== undefined) return { kind: 'token', token };
  const login = readBasic(authorization);
  return login === undefined ? { kind: 'unreadable' } : { kind: 'login', login };
}

/** RFC 7617: the name ends at the first colon; what follows is the password, colons and all. */
function readBasic(authorization: string): Login | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const decoded = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? undefined : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
