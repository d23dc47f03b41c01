import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import { EXPIRY_WARNINGS } from '../limits.ts';
import type { AuthState, StoredToken } from '../state/auth-state.ts';

/** Returns the service tokens that end soon, and have not ended yet. */
export async function expiringTokens(state: AuthState, now: number): Promise<StoredToken[]> {
  const tokens = await state.tokens();
  return tokens.filter(({ expiresAt }) => expiresAt > now && expiresAt - now <= EXPIRY_WARNINGS.before);
}

/** Warns once a day about each token that ends soon, even if auth restarts often. */
export function warnOfExpiry(state: AuthState, clock: Clock, log: Logger): AsyncDisposable {
  const warnedAt = new Map<string, number>();
  const warn = async () => {
    const now = clock();
    for (const { id, owner, expiresAt, ...token } of await expiringTokens(state, now)) {
      // The recorded time may come from a clock that was ahead.
      const last = warnedAt.get(id) ?? token.warnedAt ?? Number.NEGATIVE_INFINITY;
      if (Math.abs(now - last) < EXPIRY_WARNINGS.remindAfter) continue;
      // The time is stored in both places, because nothing can be written to a full disk.
      warnedAt.set(id, now);
      await state.warnedOfToken(id, now);
      log.warn({ id, owner, expires: new Date(expiresAt).toISOString() }, 'a service token ends soon');
    }
    return EXPIRY_WARNINGS.lookEvery;
  };
  return runPeriodically(0, warn, log);
}
