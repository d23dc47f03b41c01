/**
 * Identifies the client of a request: by a valid credential of ours in it, a token or a login; otherwise by
 * its client certificate; otherwise it is anonymous. A login or a token of another registry is ignored beside
 * a certificate, because clients send those along. This module depends on auth, and must not know what the
 * request asks for.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Principal } from '../../access/principal.ts';
import { ANONYMOUS } from '../../access/subject.ts';
import type { TokenRestriction } from '../../access/token-restriction.ts';
import type { LoginPassword, LoginRefusal } from '../../protocol/auth-api.ts';
import type { AuthClient, RequestingClient } from '../clients/auth-client.ts';
import { type AddressOf, addressKey } from '../http/client-address.ts';
import type { ActiveCredentials } from './active-credentials.ts';
import { type PresentedCredentials, parseAuthorization } from './authorization-header.ts';
import { type GrantedActions, hashOfToken, type VerifyToken } from './bearer-token.ts';
import type { CertificateFault, IdentifyByCertificate } from './client-certificate.ts';

export type Authentication = AuthenticationKind & {
  /** The reason why the client certificate does not count, for a client that is otherwise anonymous. */
  readonly certificateFault?: CertificateFault;
};

type AuthenticationKind =
  | (Principal & {
      readonly kind: 'authenticated';
      /** The proof that a token was issued for. Undefined for a login, which has no such bounds. */
      readonly repositories?: GrantedActions | undefined;
      /** The restriction of the credential: it may do less than its subject. Undefined if there is none. */
      readonly restriction?: TokenRestriction | undefined;
    })
  | { readonly kind: 'anonymous'; readonly subject: typeof ANONYMOUS }
  | {
      readonly kind: 'rejected';
      readonly error: 'INVALID_TOKEN' | LoginRefusal;
      /** Replaces the usual message of the error. */
      readonly message?: string | undefined;
    };

export type AuthenticateClient = (
  request: IncomingMessage,
  options?: AuthenticateRequestOptions,
) => Promise<Authentication>;

export interface AuthenticateRequestOptions {
  /** True if the client must be challenged although its certificate identifies it. */
  readonly ignoreCertificate?: boolean;
}

export interface AuthenticateClientOptions {
  readonly auth: AuthClient;
  readonly addressOf: AddressOf;
  readonly byCertificate: IdentifyByCertificate;
  readonly verifyToken: VerifyToken;
  readonly credentials: ActiveCredentials;
}

export function createAuthenticateClient(options: AuthenticateClientOptions): AuthenticateClient {
  const { auth, addressOf, byCertificate, verifyToken, credentials } = options;
  const lastTokens = new WeakMap<Socket, ConnectionToken>();
  const byToken = async (token: string, socket: Socket): Promise<Authentication> => {
    let last = lastTokens.get(socket);
    if (last?.token !== token) {
      last = { token, hash: hashOfToken(token) };
      lastTokens.set(socket, last);
    }
    const claims = await verifyToken(token, last.hash);
    const inForce = claims && (await credentials.find(claims));
    return claims === undefined || inForce === undefined
      ? { kind: 'rejected', error: 'INVALID_TOKEN' }
      : { kind: 'authenticated', ...claims, ...inForce };
  };

  const byLogin = async (
    login: LoginPassword,
    mayBeForeignLogin: boolean,
    request: IncomingMessage,
  ): Promise<Authentication> => {
    const address = addressOf(request);
    const client: RequestingClient = { share: addressKey(address), signal: request.signal };
    const identity = await auth.authenticate({ login, address, isStray: mayBeForeignLogin }, client);
    if ('refused' in identity)
      return { kind: 'rejected', error: identity.refused, message: identity.message };
    const inForce = await credentials.find(identity);
    return inForce === undefined
      ? { kind: 'rejected', error: 'BAD_CREDENTIALS' }
      : { kind: 'authenticated', ...identity, ...inForce };
  };

  const byCredentials = async (
    presented: PresentedCredentials,
    isBesideCertificate: boolean,
    request: IncomingMessage,
  ): Promise<Authentication> => {
    switch (presented.kind) {
      case 'nothing':
        return { kind: 'anonymous', subject: ANONYMOUS };
      case 'token':
        return byToken(presented.token, request.socket);
      case 'login':
        return byLogin(presented.login, isBesideCertificate, request);
      case 'unreadable':
        return { kind: 'rejected', error: 'BAD_CREDENTIALS' };
    }
  };

  return async (request, { ignoreCertificate = false } = {}) => {
    credentials.throwIfStale();
    const certified = ignoreCertificate ? undefined : byCertificate(request.socket);
    const presented = parseAuthorization(request.headers.authorization);
    const authentication = await byCredentials(presented, certified !== undefined, request);
    if (certified !== undefined && provesNobody(presented, authentication, verifyToken.isOurs))
      return { kind: 'authenticated', ...certified };
    const certificateFault =
      certified === undefined && !isSomebody(authentication)
        ? byCertificate.faultOf(request.socket)
        : undefined;
    return certificateFault === undefined ? authentication : { ...authentication, certificateFault };
  };
}

/**
 * The last token of a connection. The requests of a connection usually present the same one, and it is hashed
 * once.
 */
interface ConnectionToken {
  readonly token: string;
  readonly hash: string;
}

function isSomebody(authentication: Authentication): boolean {
  return authentication.kind === 'authenticated' && authentication.subject.kind !== 'anonymous';
}

/**
 * True if a certificate may identify the client instead of the presented credential. A rejected token of ours
 * excludes that: after a 401 the client fetches another token, and otherwise its pull would continue as
 * another subject.
 */
function provesNobody(
  presented: PresentedCredentials,
  authentication: Authentication,
  isOurs: VerifyToken['isOurs'],
): boolean {
  if (authentication.kind !== 'rejected') return authentication.subject.kind === 'anonymous';
  if (authentication.error === 'BAD_CREDENTIALS') return true;
  return presented.kind === 'token' && !isOurs(presented.token);
}
