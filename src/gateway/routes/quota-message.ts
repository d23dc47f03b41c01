import type { LimitData } from '../../access/policy-data.ts';
import { formatSubject, nameOf } from '../../access/subject.ts';
import { formatSize } from '../../platform/size.ts';
import { formatWindow } from '../../platform/windowed-amount.ts';
import type { QuotaRefusal } from '../../protocol/core-api.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import type { PolicyLimits } from '../authorization/policy-limits.ts';

export interface RefusedPull {
  readonly authentication: Authentication;
  readonly upstream: UpstreamHost;
  readonly limits: Pick<PolicyLimits, 'limit' | 'reserve'>;
  /** The time in milliseconds. */
  readonly now: number;
}

/**
 * Says who has used up what, until when, and why that is limited. Only the subject itself is shown its name.
 * The message says nothing about the repository, so it is the same whether that exists or not.
 */
export function quotaMessage(refusal: QuotaRefusal, pull: RefusedPull): string {
  const until = refusal.untilMs === undefined ? '' : `; more from ${formatTime(refusal.untilMs, pull.now)}`;
  const { because } = { ...pull.limits.limit(refusal.id), ...pull.limits.reserve(refusal.id) };
  return `${causeOf(refusal, pull)}${until}${because === undefined ? '' : `. ${because}`}`;
}

function causeOf(refusal: QuotaRefusal, pull: RefusedPull): string {
  const { upstream, authentication, limits } = pull;
  const who = callOf(authentication);
  const called = refusal.id === undefined ? '' : ` (${refusal.kind} ${refusal.id})`;
  switch (refusal.kind) {
    case 'limit': {
      const limit = limits.limit(refusal.id);
      const amount = amountOf(refusal, limit?.upstream?.length === 1 ? `${limit.upstream[0]} ` : '');
      return isShared(limit, authentication)
        ? `${who} shares ${amount} with others, and they are used up${called}`
        : `${who} has used its ${amount}${called}`;
    }
    case 'share':
      return `${who} has used its fair share of the quota of ${upstream}, ${amountOf(refusal)}, and others want the rest`;
    case 'reserve':
      return `the rest of the quota of ${upstream} is kept for others${called}`;
    case 'upstream':
      return `${upstream} limits the pulls of this mirror, and the mirror has no copy`;
  }
}

/** Names the caller as it knows itself. */
function callOf(authentication: Authentication): string {
  if (authentication.kind !== 'authenticated' || authentication.subject.kind === 'anonymous')
    return 'this address';
  return nameOf(authentication.subject) ?? formatSubject(authentication.subject);
}

/** True if the caller may share the limit with others: it is one for several subjects. */
function isShared(limit: LimitData | undefined, authentication: Authentication): boolean {
  if (limit === undefined || limit.each) return false;
  const [only, ...others] = limit.to;
  return others.length > 0 || only !== callOf(authentication);
}

/** Writes an amount in a window: `60 docker.io pulls of 6 h`. */
function amountOf({ unit, max, windowMs }: QuotaRefusal, from = ''): string {
  const window =
    windowMs === undefined
      ? ''
      : ` of ${formatWindow(windowMs).replace(/[mhd]$/, (one) => UNITS[one] ?? '')}`;
  const size = max === undefined ? '' : `${formatSize(max).replace('.0 ', ' ')} of `;
  if (unit === 'bytes') return `${size}${from}downloads${window}`;
  return `${max === undefined ? '' : `${max} `}${from}${max === 1 ? 'pull' : 'pulls'}${window}`;
}

const UNITS: Readonly<Record<string, string>> = { m: ' min', h: ' h', d: ' days' };

const MINUTE = 60_000;

/** Writes the first whole minute from which on it holds, with the day if that is another one than today. */
function formatTime(at: number, now: number): string {
  const [day = '', time = ''] = new Date(Math.ceil(at / MINUTE) * MINUTE).toISOString().split(/[T.]/);
  const isToday = new Date(now).toISOString().startsWith(day);
  return `${isToday ? '' : `${day} `}${time.slice(0, 5)} UTC`;
}
