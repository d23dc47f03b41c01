import { randomUUID, sign } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import type { Action } from '../../registry/action.ts';
import type { SigningKeys } from './signing-key.ts';

/** One entry of the token specification's `access` claim. */
export interface GrantedAccess {
  readonly type: 'repository';
  /** The canonical name, such as `docker.io/library/alpine`. */
  readonly name: string;
  readonly actions: readonly Action[];
}

export interface TokenContent {
  /** The subject as `formatSubject` formats it. */
  readonly subject: string;
  /** The id of the presented credential. */
  readonly credential: string;
  readonly access: readonly GrantedAccess[];
}

export interface IssuerOptions {
  readonly keys: ObservableValue<SigningKeys>;
  readonly issuer: string;
  readonly audience: string;
  /** The lifetime in milliseconds. */
  readonly lifetime: number;
  /** The milliseconds for which a token counts after its promised lifetime. Absent: none. */
  readonly grace?: number;
  readonly clock: Clock;
}

/**
 * Creates a JWS in compact form (RFC 7515, section 7.1). It is signed synchronously: WebCrypto, which jose
 * uses, moves each signature to another thread and back, at nearly twice the CPU time
 * (docs/decisions/0010-tokens-are-signed-without-jose.md).
 */
export function signToken({ subject, credential, access }: TokenContent, options: IssuerOptions): string {
  const now = Math.floor(options.clock() / 1000);
  const { jwsHeader, privateKey: key } = options.keys.current.signing;
  const claims = {
    ...{ access, cred: credential },
    ...{ iss: options.issuer, aud: options.audience, sub: subject },
    ...{ iat: now, nbf: now, exp: now + (options.lifetime + (options.grace ?? 0)) / 1000 },
    jti: randomUUID(),
  };
  const signed = `${jwsHeader}.${base64url(claims)}`;
  // R and S are concatenated, and not in DER (RFC 7518, section 3.4).
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

function base64url(content: object): string {
  return Buffer.from(JSON.stringify(content)).toString('base64url');
}
