/**
 * Who is this request? From what it shows, and from nothing that a client can write elsewhere. It depends on auth, and
 * must not know what is asked for.
 */
import type { IncomingMessage } from 'node:http';
import { ANONYMOUS, type Subject } from '../../access/subject.ts';
import type { AuthClient, Login } from './auth-client.ts';
import type { LiveCredentials } from './credentials-in-force.ts';
import type { VerifyToken } from './verify-token.ts';

export type Admission =
  | {
      readonly kind: 'admitted';
      readonly subject: Subject;
      /** The id of what was shown. */
      readonly credential: string;
      /** Of a token: the repositories that it was issued for. Of a login: it has no such bounds. */
      readonly repositories?: ReadonlySet<string>;
    }
  | { readonly kind: 'anonymous'; readonly subject: typeof ANONYMOUS }
  | { readonly kind: 'rejected'; readonly error: 'INVALID_TOKEN' | 'BAD_CREDENTIALS' | 'TOO_MANY_LOGINS' };

export type Admit = (request: IncomingMessage) => Promise<Admission>;

export interface AdmitOptions {
  readonly auth: AuthClient;
  readonly verifyToken: VerifyToken;
  readonly credentials: LiveCredentials;
}

export function createAdmit({ auth, verifyToken, credentials }: AdmitOptions): Admit {
  const byToken = async (token: string): Promise<Admission> => {
    const claims = await verifyToken(token);
    if (claims === undefined || !(await credentials.include(claims.credential, claims.subject))) {
      return { kind: 'rejected', error: 'INVALID_TOKEN' };
    }
    return { kind: 'admitted', ...claims };
  };

  const byLogin = async (login: Login): Promise<Admission> => {
    const identity = await auth.authenticate(login);
    return 'refused' in identity
      ? { kind: 'rejected', error: identity.refused }
      : { kind: 'admitted', ...identity };
  };

  return async ({ headers: { authorization } }) => {
    if (authorization === undefined) return { kind: 'anonymous', subject: ANONYMOUS };
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token !== undefined) return byToken(token);
    const login = readBasic(authorization);
    return login === undefined ? { kind: 'rejected', error: 'BAD_CREDENTIALS' } : byLogin(login);
  };
}

/** RFC 7617: the name ends at the first colon; what follows is the password, colons and all. */
export function readBasic(authorization: string): Login | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const decoded = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? undefined : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
