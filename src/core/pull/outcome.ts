import type { CacheState, Held, QuotaRefusal } from '../../protocol/core-api.ts';
import type { ErrorName } from '../../registry/error.ts';
import type { UpstreamRefusal } from '../upstream/upstream-result.ts';

export interface PullRefusal {
  readonly kind: 'refused';
  readonly error: ErrorName;
  /** The time to wait in seconds. */
  readonly retryAfter?: number;
  /** The type of a manifest that is not mirrored. */
  readonly mediaType?: string;
  /** Seconds since the upstream last confirmed the answer, if it cannot be asked now. */
  readonly age?: number;
  /** Present if a quota is the reason. */
  readonly quota?: QuotaRefusal;
}

/**
 * For `maxAgeMs` milliseconds the same request has the same answer, unless there is an invalidation.
 */
export type PullOutcome<T> =
  | ({
      readonly kind: 'found';
      readonly cache: CacheState;
      readonly maxAgeMs?: number;
      /** The reason why an earlier manifest of the tag is the answer, if a quota is the reason. */
      readonly held?: Held;
    } & T)
  | PullRefusal;

/**
 * Converts an upstream's answer to a refusal. A denial becomes `unknown`, whether the content is missing or
 * hidden, so that a hidden repository looks like a missing one. An upstream failure never becomes `unknown`.
 */
export function refusalOf(answer: UpstreamRefusal, unknown: ErrorName): PullRefusal {
  if (answer.kind === 'denied')
    return answer.reason === 'unsupported'
      ? { kind: 'refused', error: 'NOT_MIRRORED', mediaType: answer.mediaType }
      : { kind: 'refused', error: unknown };
  const { cause, quota, retryAfter } = answer.failure;
  if (cause === 'limited' || cause === 'budget') {
    return {
      kind: 'refused',
      error: 'TOO_MANY_PULLS',
      ...(quota && { quota }),
      ...(retryAfter !== undefined && { retryAfter }),
    };
  }
  if (cause === 'busy' || cause === 'cluster')
    return { kind: 'refused', error: 'UNAVAILABLE', retryAfter: retryAfter ?? 1 };
  return { kind: 'refused', error: cause === 'timeout' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_FAILED' };
}

/** Adds the max age to a hit. Another answer has none. */
export function withMaxAge<T>(outcome: PullOutcome<T>, maxAgeMs: number): PullOutcome<T> {
  return outcome.kind === 'found' && outcome.cache === 'hit' ? { ...outcome, maxAgeMs } : outcome;
}

/** Returns what to say of an earlier manifest that is served because a quota refuses the current one. */
export function heldBy(refusal: PullRefusal): Held | undefined {
  const { kind, id = '' } = refusal.quota ?? {};
  if (kind === 'share') return kind;
  return kind === 'limit' || kind === 'reserve' ? `${kind}:${id}` : undefined;
}
