import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Federation } from '../../../config/federation.ts';
import type { AskedKeys, IssuerKeys } from './issuer-keys.ts';

/** What a JWT says, once it is known to be the issuer's, for us and in its time; or why it counts for nothing. */
export type VerifiedJwt =
  | { readonly claims: JWTPayload /** Milliseconds. */; readonly until: number }
  | { readonly refused: string };

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];
/** Seconds by which an issuer's clock may be ahead. Nothing lives longer for it. */
const CLOCK_TOLERANCE = 60;
const MAX_AGE = 24 * 60 * 60;
/** RFC 7519, section 5.1, and RFC 9068: other kinds of JWT are not for logging in. */
const TYPES = /^(?:application\/)?(?:at\+)?jwt$/i;

/**
 * The federation that a JWT says it is from; where there are several of one issuer, that which it is for. Nothing of it is known
 * to be true yet.
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
    // It must say when it ends; a second that has begun counts for none.
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
    // It must say when it was issued, too.
    maxTokenAge: MAX_AGE,
    clockTolerance: CLOCK_TOLERANCE,
    currentDate: new Date(now),
  });
}

/** A word of the library's or of ours: nothing of what the JWT says. What is not the JWT's fault is the key's. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
    return `${error.code} ${error.claim}`;
  return error instanceof errors.JOSEError ? error.code : 'the key cannot be used';
}
