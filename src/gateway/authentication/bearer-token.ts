import { hash } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Principal } from '../../access/principal.ts';
import { parseSubject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { getOrInsert } from '../../platform/get-or-insert.ts';
import { pollValue } from '../../platform/ipc/long-poll-client.ts';
import type { Logger } from '../../platform/log.ts';
import { type Action, isAction } from '../../registry/action.ts';
import type { AuthClient } from '../clients/auth-client.ts';
import { ACCESS_TOKENS } from '../limits.ts';

/** The actions that a token was issued for, by the canonical names of repositories. */
export type GrantedActions = ReadonlyMap<string, ReadonlySet<Action>>;

/** The claims of a valid token of ours. */
export interface VerifiedToken extends Principal {
  readonly repositories: GrantedActions;
}

/**
 * Resolves to undefined for anything that is not a valid token of ours. The client does not learn the reason.
 */
export interface VerifyToken extends Disposable {
  /** @param hash the result of `hashOfToken`, if the caller has it */
  (token: string, hash?: string): Promise<VerifiedToken | undefined>;
  /** Tells whether a token claims to be ours. It verifies nothing. */
  isOurs(token: string): boolean;
}

export interface VerifyOptions {
  readonly auth: Pick<AuthClient, 'keys'>;
  readonly log: Logger;
  readonly issuer: string;
  readonly audience: string;
  /** The milliseconds for which a token counts after its promised lifetime. Absent: none. */
  readonly grace?: number | undefined;
  readonly clock: Clock;
}

const CLAIMS = z.object({
  sub: z.string(),
  cred: z.string(),
  exp: z.int(),
  access: z.array(
    z.object({ type: z.literal('repository'), name: z.string(), actions: z.array(z.string()) }),
  ),
});

/**
 * Verifies a token once, and caches its claims until it expires. The cache key is a hash of the token's
 * bytes: a token can be encoded in several ways, and each of them is verified by itself.
 */
export async function createVerifyToken(options: VerifyOptions): Promise<VerifyToken> {
  const { issuer, audience, clock, grace = 0 } = options;
  const cached = new ExpiringCache<VerifiedToken>(ACCESS_TOKENS.maxCached, clock);
  const keys = await followKeys(options);

  const verify = (token: string, key: JWTVerifyGetKey) =>
    jwtVerify(token, key, {
      algorithms: ['ES256'],
      typ: 'JWT',
      issuer,
      audience,
      requiredClaims: ['sub', 'exp', 'nbf', 'iat', 'jti', 'cred', 'access'],
      maxTokenAge: ACCESS_TOKENS.maxAge + grace / 1000,
      clockTolerance: ACCESS_TOKENS.clockTolerance,
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

  const verifyToken = async (token: string, memory = hashOfToken(token)) => {
    if (token.length > ACCESS_TOKENS.maxLength) return undefined;
    const known = cached.get(memory);
    if (known !== undefined) return known;
    try {
      const { payload } = await verifyWithFreshKeys(token);
      const { sub, cred, exp, access } = CLAIMS.parse(payload);
      const subject = parseSubject(sub);
      if (subject === undefined) return undefined;
      const claims = { subject, credential: cred, repositories: grantedBy(access) };
      cached.set(memory, claims, (exp + ACCESS_TOKENS.clockTolerance) * 1000 - clock());
      return claims;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof z.ZodError) return undefined;
      throw error;
    }
  };
  return Object.assign(verifyToken, {
    isOurs: (token: string) => token.length <= ACCESS_TOKENS.maxLength && issuerOf(token) === issuer,
    [Symbol.dispose]: () => keys[Symbol.dispose](),
  });
}

export function hashOfToken(token: string): string {
  return hash('sha256', token, 'base64');
}

/** Unknown actions are left out. */
function grantedBy(access: z.output<typeof CLAIMS>['access']): GrantedActions {
  const granted = new Map<string, Set<Action>>();
  for (const { name, actions } of access) {
    const known = getOrInsert(granted, name, () => new Set());
    for (const action of actions) if (isAction(action)) known.add(action);
  }
  return granted;
}

/** Returns undefined if the token is not a JWT. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

interface Keys extends Disposable {
  readonly current: JWTVerifyGetKey;
  /**
   * Asks auth, which may have another key by now. It does so at most once in a few seconds, however many
   * callers want it.
   */
  renew(): Promise<void>;
}

/** Subscribes to the keys, so that a key that auth has given up verifies nothing from then on. */
async function followKeys({ auth, log, clock }: VerifyOptions): Promise<Keys> {
  const followed = await pollValue(
    async (options) => {
      const answer = await auth.keys(options);
      return answer && { etag: answer.etag, value: createLocalJWKSet(answer.value) };
    },
    { name: 'auth', log },
  );
  let askedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  return {
    get current() {
      return followed.current;
    },
    async renew() {
      const isRecent = Math.abs(clock() - askedAt) < ACCESS_TOKENS.renewKeysEvery;
      // A caller that comes while a request is running waits for its answer.
      if (!isRecent) asking = followed.refresh();
      if (!isRecent) askedAt = clock();
      await asking;
    },
    [Symbol.dispose]: () => followed[Symbol.dispose](),
  };
}
