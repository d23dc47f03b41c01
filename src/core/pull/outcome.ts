import type { CacheState } from '../../registry/core-api.ts';
import type { ErrorName } from '../../registry/error.ts';
import type { Refused } from '../upstream/answer.ts';

export interface Refusal {
  readonly kind: 'refused';
  readonly error: ErrorName;
  /** Seconds. */
  readonly retryAfter?: number;
  /** The type of a manifest that is not mirrored. */
  readonly mediaType?: string;
  /** Seconds since the upstream last confirmed the answer, if it cannot be asked now. */
  readonly age?: number;
}

/** `holds`: milliseconds for which the same question has the same answer, unless something is withdrawn. */
export type Outcome<T> =
  | ({ readonly kind: 'found'; readonly cache: CacheState; readonly holds?: number } & T)
  | Refusal;

/**
 * The refusal that an upstream's answer comes to. "No" is `unknown`, whether it is missing or hidden, so that a repository that
 * one may not see looks like one that is not there; and trouble is never called unknown.
 */
export function refusalOf(answer: Refused, unknown: ErrorName): Refusal {
  if (answer.kind === 'no')
    return answer.reason === 'unsupported'
      ? { kind: 'refused', error: 'NOT_MIRRORED', mediaType: answer.mediaType }
      : { kind: 'refused', error: unknown };
  const { cause, retryAfter } = answer.trouble;
  if (cause === 'limited') return { kind: 'refused', error: 'TOO_MANY_PULLS', retryAfter: retryAfter ?? 60 };
  if (cause === 'busy') return { kind: 'refused', error: 'UNAVAILABLE', retryAfter: 1 };
  return { kind: 'refused', error: cause === 'timeout' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_FAILED' };
}
