import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { AuthState, StoredToken } from '../state/auth-state.ts';

/** The milliseconds of two weeks, in which the operator of the program that uses the token can be found. */
const WARN_BEFORE = 14 * 24 * 60 * 60_000;
const LOOK_EVERY = 60 * 60_000;
const REMIND_AFTER = 24 * 60 * 60_000;

/** Returns the service tokens that end soon, and have not ended yet. */
export async function expiringTokens(state: AuthState, now: number): Promise<StoredToken[]> {
  const tokens = await state.tokens();
  return tokens.filter(({ expiresAt }) => expiresAt > now && expiresAt - now <= WARN_BEFORE);
}

/** Warns once a day about each token that ends soon, even if auth restarts often. */
export function warnOfExpiry(state: AuthState, clock: Clock, log: Logger): AsyncDisposable {
  const warnedAt = new Map<string, number>();
  const warn = async () => {
    const now = clock();
    for (const { id, owner, expiresAt, ...token } of await expiringTokens(state, now)) {
      // The recorded time may come from a clock that was ahead.
      const last = warnedAt.get(id) ?? token.warnedAt ?? Number.NEGATIVE_INFINITY;
      if (Math.abs(now - last) < REMIND_AFTER) continue;
      // The time is stored in both places, because nothing can be written to a full disk.
      warnedAt.set(id, now);
      await state.warnedOfToken(id, now);
      log.warn({ id, owner, expires: new Date(expiresAt).toISOString() }, 'a service token ends soon');
    }
    return LOOK_EVERY;
  };
  return runPeriodically(0, warn, log);
}
