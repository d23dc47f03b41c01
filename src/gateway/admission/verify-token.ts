import { createHash } from 'node:crypto';
import { createLocalJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { parseSubject, type Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import type { AuthClient } from './auth-client.ts';

/** What a token of ours says, once it is known to be ours and in its time. */
export interface TokenClaims {
  readonly subject: Subject;
  readonly credential: string;
  /** Canonical names of the repositories for which pulling was granted when it was issued. */
  readonly repositories: ReadonlySet<string>;
}

/** Undefined for whatever is not a valid token of ours; why does not matter to who shows it. */
export type VerifyToken = (token: string) => Promise<TokenClaims | undefined>;

export interface VerifyOptions {
  readonly auth: AuthClient;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: Clock;
}

/** Clients' clocks count for nothing here, but the gateway's and auth's may differ where they run apart. */
const CLOCK_TOLERANCE = 60;
/** The longest life that a configuration may give a token. */
const MAX_AGE = 300;
const MAX_TOKEN_LENGTH = 8 * 1024;
const MAX_REMEMBERED = 20_000;

const CLAIMS = z.object({
  sub: z.string(),
  cred: z.string(),
  exp: z.int(),
  access: z.array(
    z.object({ type: z.literal('repository'), name: z.string(), actions: z.array(z.string()) }),
  ),
});

/**
 * Verifies a token once, and remembers what it says until it expires. Remembered by a hash of the token's bytes: a
 * token can be written in several ways, and each of them is verified for itself.
 */
export async function createVerifyToken({
  auth,
  issuer,
  audience,
  clock,
}: VerifyOptions): Promise<VerifyToken> {
  const remembered = new LRUCache<string, { readonly claims: TokenClaims; readonly until: number }>({
    max: MAX_REMEMBERED,
  });
  let keys = createLocalJWKSet(await auth.keys());

  const verify = (token: string, key: JWTVerifyGetKey) =>
    jwtVerify(token, key, {
      algorithms: ['ES256'],
      typ: 'JWT',
      issuer,
      audience,
      requiredClaims: ['sub', 'exp', 'nbf', 'iat', 'jti', 'cred', 'access'],
      maxTokenAge: MAX_AGE,
      clockTolerance: CLOCK_TOLERANCE,
      currentDate: new Date(clock()),
    });

  /** A key that is not known is asked for once: auth may have been given another one. */
  const verifyWithFreshKeys = async (token: string) => {
    try {
      return await verify(token, keys);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      keys = createLocalJWKSet(await auth.keys());
      return verify(token, keys);
    }
  };

  return async (token) => {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    const memory = createHash('sha256').update(token).digest('base64');
    const known = remembered.get(memory);
    if (known !== undefined && clock() < known.until) return known.claims;
    try {
      const { payload } = await verifyWithFreshKeys(token);
      const { sub, cred, exp, access } = CLAIMS.parse(payload);
      const subject = parseSubject(sub);
      if (subject === undefined) return undefined;
      const pulls = access.filter(({ actions }) => actions.includes('pull')).map(({ name }) => name);
      const claims = { subject, credential: cred, repositories: new Set(pulls) };
      remembered.set(memory, { claims, until: (exp + CLOCK_TOLERANCE) * 1000 });
      return claims;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof z.ZodError) return undefined;
      throw error;
    }
  };
}
