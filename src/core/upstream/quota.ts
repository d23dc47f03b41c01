import type { ReceivedHeaders } from '../../platform/undici.ts';

/**
 * The pull quota of Docker Hub, from its headers on manifest responses. Without the headers there is no
 * limit.
 */
export interface Quota {
  readonly limit: number;
  readonly remaining: number;
  /** The length in seconds. It is not constant: 21,600 is documented, and 3,600 was measured. */
  readonly window: number;
  /** The account or the address that the Hub counts. */
  readonly source?: string;
  /** The time in milliseconds since the epoch. */
  readonly readAt: number;
}

/** Matches an address or an account id. Operators see it. */
const SOURCE = /^[\x21-\x7e]{1,100}$/;

export function parseQuota(headers: ReceivedHeaders, now: number): Quota | undefined {
  const limit = parseCounter(headers['ratelimit-limit']);
  const remaining = parseCounter(headers['ratelimit-remaining']);
  if (limit === undefined || remaining === undefined) return undefined;
  const source = headers['docker-ratelimit-source'];
  return {
    limit: limit.count,
    remaining: remaining.count,
    window: remaining.window,
    ...(typeof source === 'string' && SOURCE.test(source) && { source }),
    readAt: now,
  };
}

/** Parses a value such as `76;w=21600`. */
function parseCounter(header: string | string[] | undefined): { count: number; window: number } | undefined {
  const match = /^(\d{1,9});w=(\d{1,9})$/.exec(String(header));
  return match === null ? undefined : { count: Number(match[1]), window: Number(match[2]) };
}

/** Parses `Retry-After` to seconds (RFC 9110 §10.2.3). A date counts from `now`. */
export function parseRetryAfter(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}
