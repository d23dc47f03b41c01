import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Clock } from '../../platform/clock.ts';
import type { Live } from '../../platform/live.ts';
import type { SigningKeys } from './signing-key.ts';

/** One entry of the token specification's `access` claim. */
export interface Access {
  readonly type: 'repository';
  /** Canonical: `docker.io/library/alpine`. */
  readonly name: string;
  readonly actions: readonly ['pull'];
}

export interface TokenContent {
  /** As `writeSubject` has it. */
  readonly subject: string;
  /** The id of the credential that was shown for it. */
  readonly credential: string;
  readonly access: readonly Access[];
}

export interface IssuerOptions {
  readonly keys: Live<SigningKeys>;
  readonly issuer: string;
  readonly audience: string;
  /** Milliseconds. */
  readonly lifetime: number;
  readonly clock: Clock;
}

export function issueToken(
  { subject, credential, access }: TokenContent,
  options: IssuerOptions,
): Promise<string> {
  const now = Math.floor(options.clock() / 1000);
  const { signing } = options.keys.current;
  return new SignJWT({ access, cred: credential })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: signing.id })
    .setIssuer(options.issuer)
    .setAudience(options.audience)
    .setSubject(subject)
    .setIssuedAt(now)
    .setNotBefore(now)
    .setExpirationTime(now + options.lifetime / 1000)
    .setJti(randomUUID())
    .sign(signing.privateKey);
}
