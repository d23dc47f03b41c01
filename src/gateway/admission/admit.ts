/**
 * Who is this request? From what it shows, and from nothing that a client can write elsewhere. It depends on auth, and
 * must not know what is asked for.
 */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Narrowing } from '../../access/narrowing.ts';
import { ANONYMOUS, type Subject } from '../../access/subject.ts';
import type { Login, LoginRefusal } from '../../registry/auth-api.ts';
import { addressKey, peerAddress } from '../http/peer-address.ts';
import type { AuthClient, Client } from './auth-client.ts';
import type { IdentifyByCertificate } from './client-certificate.ts';
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
      /** What the credential is less than its subject. */
      readonly narrowing?: Narrowing | undefined;
    }
  | { readonly kind: 'anonymous'; readonly subject: typeof ANONYMOUS }
  | { readonly kind: 'rejected'; readonly error: 'INVALID_TOKEN' | LoginRefusal };

export type Admit = (request: IncomingMessage) => Promise<Admission>;

export interface AdmitOptions {
  readonly auth: AuthClient;
  readonly byCertificate: IdentifyByCertificate;
  readonly verifyToken: VerifyToken;
  readonly credentials: LiveCredentials;
}

export function createAdmit({ auth, byCertificate, verifyToken, credentials }: AdmitOptions): Admit {
  const byToken = async (token: string): Promise<Admission> => {
    const claims = await verifyToken(token);
    const inForce = claims && (await credentials.find(claims));
    return claims === undefined || inForce === undefined
      ? { kind: 'rejected', error: 'INVALID_TOKEN' }
      : { kind: 'admitted', ...claims, ...inForce };
  };

  const byLogin = async (login: Login, address: string, client: Client): Promise<Admission> => {
    const identity = await auth.authenticate({ login, address }, client);
    if ('refused' in identity) return { kind: 'rejected', error: identity.refused };
    const inForce = await credentials.find(identity);
    return inForce === undefined
      ? { kind: 'rejected', error: 'BAD_CREDENTIALS' }
      : { kind: 'admitted', ...identity, ...inForce };
  };

  return async (request) => {
    credentials.throwIfStale();
    const certified = byCertificate(request.socket as TLSSocket);
    // Whatever else is shown: clients send their logins of other registries along.
    if (certified !== undefined) return { kind: 'admitted', ...certified };
    const shown = readShown(request.headers.authorization);
    switch (shown.kind) {
      case 'nothing':
        return { kind: 'anonymous', subject: ANONYMOUS };
      case 'token':
        return byToken(shown.token);
      case 'login': {
        const address = peerAddress(request);
        return byLogin(shown.login, address, { caller: addressKey(address), signal: request.signal });
      }
      case 'unreadable':
        return { kind: 'rejected', error: 'BAD_CREDENTIALS' };
    }
  };
}
