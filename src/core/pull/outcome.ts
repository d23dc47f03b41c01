import type { ErrorName } from '../../registry/error.ts';
import type { Refused } from '../upstream/answer.ts';

/**
 * How an answer came about, for the audit line. `hit`: from the cache alone. `revalidated`: the upstream confirmed what
 * was cached. `fill`: fetched for this caller. `joined`: fetched for another at the same time. `stale`: from the cache,
 * because the upstream could not be asked.
 */
export type CacheState = 'hit' | 'revalidated' | 'fill' | 'joined' | 'stale';

export interface Refusal {
  readonly kind: 'refused';
  readonly error: ErrorName;
  /** Seconds. */
  readonly retryAfter?: number;
}

export type Outcome<T> = ({ readonly kind: 'found'; readonly cache: CacheState } & T) | Refusal;

/** What the policy granted: public content only, or private content too. */
export type Grant = 'public' | 'private';

/**
 * The refusal that an upstream's answer comes to. "No" is `unknown` whatever its reason, so that a repository that
 * one may not see looks like one that is not there; and trouble is never called unknown.
 */
export function refusalOf(answer: Refused, unknown: ErrorName): Refusal {
  if (answer.kind === 'no') return { kind: 'refused', error: unknown };
  const { cause, retryAfter } = answer.trouble;
  if (cause === 'limited') return { kind: 'refused', error: 'TOO_MANY_PULLS', retryAfter: retryAfter ?? 60 };
  return { kind: 'refused', error: cause === 'timeout' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_FAILED' };
}
