import { createHash } from 'node:crypto';
import { createLocalJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import { parseSubject, type Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
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
/** Milliseconds. Whoever makes up key ids cannot make a gateway ask auth more often. */
const RENEW_KEYS_EVERY = 3_000;

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
  const remembered = new ExpiringCache<TokenClaims>(MAX_REMEMBERED, clock);
  const keys = await followKeys(auth, clock);

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

  const verifyWithFreshKeys = async (token: string) => {
    try {
      return await verify(token, keys.current);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await keys.renew();
      return verify(token, keys.current);
    }
  };

  return async (token) => {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    const memory = createHash('sha256').update(token).digest('base64');
    const known = remembered.get(memory);
    if (known !== undefined) return known;
    try {
      const { payload } = await verifyWithFreshKeys(token);
      const { sub, cred, exp, access } = CLAIMS.parse(payload);
      const subject = parseSubject(sub);
      if (subject === undefined) return undefined;
      const pulls = access.filter(({ actions }) => actions.includes('pull')).map(({ name }) => name);
      const claims = { subject, credential: cred, repositories: new Set(pulls) };
      remembered.set(memory, claims, (exp + CLOCK_TOLERANCE) * 1000 - clock());
      return claims;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof z.ZodError) return undefined;
      throw error;
    }
  };
}

interface Keys {
  readonly current: JWTVerifyGetKey;
  /** Asks auth, which may have been given another key; at most once in a few seconds, however many want it. */
  renew(): Promise<void>;
}

async function followKeys(auth: AuthClient, clock: Clock): Promise<Keys> {
  const asking = new SingleFlight<void>();
  let current = createLocalJWKSet(await auth.keys());
  let askedAt = Number.NEGATIVE_INFINITY;
  return {
    get current() {
      return current;
    },
    async renew() {
      if (Math.abs(clock() - askedAt) < RENEW_KEYS_EVERY) return;
      await asking.run('keys', async () => {
        current = createLocalJWKSet(await auth.keys());
        askedAt = clock();
      });
    },
  };
}
