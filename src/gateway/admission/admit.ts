/**
 * Who is this request? From what it shows, and from nothing that a client can write elsewhere. It depends on auth, and
 * must not know what is asked for.
 */
import type { IncomingMessage } from 'node:http';
import { ANONYMOUS, type Subject } from '../../access/subject.ts';
import type { Login, LoginRefusal } from '../../registry/auth-api.ts';
import type { AuthClient } from './auth-client.ts';
import type { LiveCredentials } from './credentials-in-force.ts';
import { readShown } from './shown.ts';
import type { VerifyToken } from './verify-token.ts';

export type Admission =
  | {
      readonly kind: 'admitted';
      readonly subject: Subject;
      /** The id of what was shown. */
      readonly credential: string;
      /** Of a token: the repositories that it was issued for. Of a login: it has no such bounds. */
      readonly repositories?: ReadonlySet<string> | undefined;
    }
  | { readonly kind: 'anonymous'; readonly subject: typeof ANONYMOUS }
  | { readonly kind: 'rejected'; readonly error: 'INVALID_TOKEN' | LoginRefusal };

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
    const shown = readShown(authorization);
    switch (shown.kind) {
      case 'nothing':
        return { kind: 'anonymous', subject: ANONYMOUS };
      case 'token':
        return byToken(shown.token);
      case 'login':
        return byLogin(shown.login);
      case 'unreadable':
        return { kind: 'rejected', error: 'BAD_CREDENTIALS' };
    }
  };
}
