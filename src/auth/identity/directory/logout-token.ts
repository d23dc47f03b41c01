import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { OidcLogin } from '../../../config/login.ts';
import type { Clock } from '../../../platform/clock.ts';
import { isObject } from '../../../platform/object-properties.ts';
import { OIDC } from '../../limits.ts';
import type { AskedKeys, IssuerKeys } from '../federation/issuer-keys.ts';
import { logoutId, type UsedLogouts } from './used-logouts.ts';

/** A logout token names somebody, or one session of theirs. */
export type LogoutSubject = { readonly sub?: string; readonly sid?: string };

/**
 * Verifies logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.6). Each counts once. Resolves to
 * undefined if the token does not count.
 */
export type VerifyLogoutToken = (token: string) => Promise<LogoutSubject | undefined>;

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];

export interface LogoutTokenOptions {
  readonly login: OidcLogin;
  readonly keys: IssuerKeys;
  readonly logouts: UsedLogouts;
  readonly clock: Clock;
}

export function createVerifyLogoutToken(options: LogoutTokenOptions): VerifyLogoutToken {
  const { login, keys, logouts, clock } = options;
  const { issuer, clientId } = login;
  const verified = async (
    token: string,
    asked: AskedKeys,
  ): Promise<JWTPayload | 'unknown key' | undefined> => {
    if (typeof asked === 'string') return undefined;
    try {
      return (await jwtVerify(token, asked, checks(issuer, clientId, clock))).payload;
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return 'unknown key';
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  };
  return async (token) => {
    if (token.length > OIDC.longestLogout) return undefined;
    const first = await verified(token, await keys.current());
    const payload = first === 'unknown key' ? await verified(token, await keys.renewed()) : first;
    if (payload === undefined || payload === 'unknown key' || !isLogout(payload)) return undefined;
    const { sub, sid, jti = '' } = payload;
    if (!(await logouts.use(logoutId(login.name, jti)))) return undefined;
    return {
      ...(sub !== undefined && { sub }),
      ...(typeof sid === 'string' && { sid }),
    };
  };
}

function checks(issuer: string, audience: string, clock: Clock) {
  return {
    ...{ issuer, audience, algorithms: ALGORITHMS, requiredClaims: ['jti', 'iat'] },
    ...{ maxTokenAge: OIDC.logoutAge, clockTolerance: OIDC.clockTolerance, currentDate: new Date(clock()) },
  } satisfies Parameters<typeof jwtVerify<JWTVerifyGetKey>>[2];
}

/** A token with a nonce is an ID token, which anybody who logs in has. */
function isLogout({ events, nonce, sub, sid }: JWTPayload): boolean {
  const hasEvent = isObject(events) && isObject(events[EVENT]);
  return hasEvent && nonce === undefined && (sub !== undefined || typeof sid === 'string');
}
