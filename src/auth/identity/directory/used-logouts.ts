import { createHash } from 'node:crypto';
import type { Clock } from '../../../platform/clock.ts';
import { ExpiringCache } from '../../../platform/expiring-cache.ts';
import { OIDC } from '../../limits.ts';

/** Remembers the logout tokens that have counted. */
export interface UsedLogouts {
  /** Resolves to false if a token with this id was used already. */
  use(id: string): Promise<boolean>;
}

/** The milliseconds after which a logout token is too old to count, by any clock that is accepted. */
export const LOGOUT_REMEMBERED_FOR = 2 * (OIDC.logoutAge + OIDC.clockTolerance) * 1000;

/** The logout tokens that have counted in this process. */
export function localLogouts(clock: Clock): UsedLogouts {
  const used = new ExpiringCache<{ readonly id: string }>(OIDC.maxLogouts, clock);
  return {
    use: async (id) => {
      if (used.get(id) !== undefined) return false;
      used.set(id, { id }, LOGOUT_REMEMBERED_FOR);
      return true;
    },
  };
}

/** Returns the id of a logout token. Two providers may choose the same `jti`. */
export function logoutId(login: string, jti: string): string {
  return createHash('sha256')
    .update(JSON.stringify([login, jti]))
    .digest('hex');
}
