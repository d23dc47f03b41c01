import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Federation } from '../../../config/federation.ts';
import { FEDERATED_LOGIN } from '../../limits.ts';
import type { AskedKeys, IssuerKeys } from './issuer-keys.ts';

/**
 * The claims of a JWT that is valid, of the issuer, for this mirror and not expired; or why it is refused.
 */
export type VerifiedJwt =
  | { readonly claims: JWTPayload /** Milliseconds. */; readonly until: number }
  | { readonly refused: string };

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];
/** Other kinds of JWT are not for logging in (RFC 7519, section 5.1, and RFC 9068). */
const TYPES = /^(?:application\/)?(?:at\+)?jwt$/i;

/**
 * Returns the federation that a JWT claims to come from. If several have the same issuer, the audience
 * decides. Nothing is verified yet.
 */
export function addressedTo(jwt: string, federations: readonly Federation[]): Federation | undefined {
  try {
    const { iss, aud } = decodeJwt(jwt);
    const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
    const candidates = federations.filter(({ issuer }) => issuer === iss);
    return candidates.find(({ audience }) => audiences.includes(audience)) ?? candidates[0];
  } catch {
    return undefined;
  }
}

export async function verifyJwt(
  jwt: string,
  federation: Federation,
  keys: IssuerKeys,
  now: number,
): Promise<VerifiedJwt | 'busy'> {
  const first = await verifyWith(await keys.current(), jwt, federation, now);
  return first === 'busy' || !('refused' in first) || first.refused !== UNKNOWN_KEY
    ? first
    : verifyWith(await keys.renewed(), jwt, federation, now);
}

const UNKNOWN_KEY = new errors.JWKSNoMatchingKey().code;

async function verifyWith(
  keys: AskedKeys,
  jwt: string,
  { issuer, audience }: Federation,
  now: number,
): Promise<VerifiedJwt | 'busy'> {
  if (keys === 'busy') return 'busy';
  if (keys === 'none') return { refused: 'no keys' };
  try {
    const { payload, protectedHeader } = await verified(jwt, keys, { issuer, audience, now });
    const { typ } = protectedHeader;
    if (typ !== undefined && !TYPES.test(typ)) return { refused: 'typ' };
    // A JWT without an end is refused. A second that has begun does not count.
    const until = Math.floor(payload.exp ?? 0) * 1000;
    return until <= now ? { refused: 'expired' } : { claims: payload, until };
  } catch (error) {
    return { refused: reasonOf(error) };
  }
}

function verified(
  jwt: string,
  keys: JWTVerifyGetKey,
  { issuer, audience, now }: { issuer: string; audience: string; now: number },
) {
  return jwtVerify(jwt, keys, {
    algorithms: ALGORITHMS,
    issuer,
    audience,
    // This option also requires the time of issue.
    maxTokenAge: FEDERATED_LOGIN.maxAge,
    clockTolerance: FEDERATED_LOGIN.clockTolerance,
    currentDate: new Date(now),
  });
}

/**
 * Returns a word of the library's or of ours, and nothing that the JWT contains. An error that is not about
 * the JWT is about the key.
 */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
    return `${error.code} ${error.claim}`;
  return error instanceof errors.JOSEError ? error.code : 'the key cannot be used';
}
