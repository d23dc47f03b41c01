import type { QuotaRefusal } from '../../protocol/core-api.ts';
import type { Repository } from '../../registry/repository.ts';

/**
 * The result of a request to an upstream. A denial is believed. On a failure the cache answers if possible.
 */
export type UpstreamResult<T> = { readonly kind: 'ok'; readonly value: T } | UpstreamRefusal;

export type UpstreamRefusal =
  | {
      readonly kind: 'denied';
      readonly reason: 'unauthorized' | 'not-found';
      /** True if no challenge came with it, so that another credential would not help. */
      readonly isForbidden?: true;
    }
  /** The content exists, as a manifest of a type that is not mirrored. */
  | { readonly kind: 'denied'; readonly reason: 'unsupported'; readonly mediaType: string }
  | { readonly kind: 'unavailable'; readonly failure: UpstreamFailure };

export interface UpstreamFailure {
  /**
   * `limited` is a 429. `credential` means that the upstream refuses the configured credential. `unfit` means
   * that its answer cannot be used (too large, or of a wrong digest or type). `busy` means that too many
   * requests wait for a connection of ours, so the upstream was not asked. `budget` means that the requester
   * may not pull now, so the upstream was not asked either. `cluster` means that the database or the other
   * nodes of the cluster do not say who downloads.
   */
  readonly cause:
    | 'timeout'
    | 'unreachable'
    | 'failed'
    | 'limited'
    | 'credential'
    | 'unfit'
    | 'busy'
    | 'budget'
    | 'cluster';
  /**
   * The text for the log. It never contains a URL's query, a header or a body, because those can hold
   * secrets.
   */
  readonly detail: string;
  /** The time to wait in seconds, if the upstream named it. */
  readonly retryAfter?: number;
  /** The reason why a pull is refused; present for `budget` and `limited`. */
  readonly quota?: QuotaRefusal;
  /** True if this is a repetition of an earlier answer, and the upstream was not asked. */
  readonly known?: boolean;
  /** The status of an answer that is neither a success nor a denial in a registry's own words. */
  readonly status?: number;
}

/** The answer that nobody, or not this requester, may pull now. */
export type UnavailablePull = UpstreamRefusal & { readonly kind: 'unavailable' };

export function overBudget(quota: QuotaRefusal, now: number): UnavailablePull {
  const { kind, id, untilMs } = quota;
  const detail = `a ${kind}${id === undefined ? '' : ` (${id})`} allows no more ${quota.unit}`;
  const retryAfter = untilMs === undefined ? undefined : Math.max(1, Math.ceil((untilMs - now) / 1000));
  const { failure } = unavailable('budget', detail, retryAfter);
  return { kind: 'unavailable', failure: { ...failure, quota, known: true } };
}

/** True if the answer is that the requester may not pull now. It says nothing about any other requester. */
export function isOverBudget(answer: { readonly kind: string; readonly failure?: UpstreamFailure }): boolean {
  return answer.kind === 'unavailable' && answer.failure?.cause === 'budget';
}

export function ok<T>(value: T): UpstreamResult<T> {
  return { kind: 'ok', value };
}

export function denied(reason: 'unauthorized' | 'not-found'): UpstreamRefusal {
  return { kind: 'denied', reason };
}

export function unavailable(
  cause: UpstreamFailure['cause'],
  detail: string,
  retryAfter?: number,
): UpstreamRefusal & { kind: 'unavailable' } {
  return { kind: 'unavailable', failure: { cause, detail, ...(retryAfter !== undefined && { retryAfter }) } };
}

/** Returns the failure for a status that says neither yes nor no about the requested content. */
export function unavailableByStatus(
  status: number,
  detail: string,
  retryAfter?: number,
): UpstreamRefusal & { kind: 'unavailable' } {
  const { failure } = unavailable(status === 429 ? 'limited' : 'failed', detail, retryAfter);
  return { kind: 'unavailable', failure: { ...failure, status } };
}

/** Refuses an answer that is not what was asked for. */
export function unfit({ name }: Repository, why: string): UpstreamRefusal {
  return unavailable('unfit', `${name}: ${why}`);
}
