import type { SlidingCount } from './sliding-count.ts';

/** An older part of the last hour weighs half as much as one that is later by this many milliseconds. */
const HALF_LIFE = 15 * 60_000;

/** The pulls of this time, in milliseconds, give the pace. */
export const PACE_WINDOW = 60 * 60_000;
const PACE_STEP = PACE_WINDOW / 24;

/**
 * Returns the pulls per millisecond: a moving average over the last hour, in which recent pulls weigh more.
 */
export function paceOf(pulls: SlidingCount, now: number): number {
  if (pulls.total(now) === 0) return 0;
  const current = Math.floor(now / PACE_STEP);
  const amounts = new Map(pulls.buckets);
  let weighed = 0;
  let time = 0;
  for (let bucket = current - 24; bucket <= current; bucket++) {
    const weight = 2 ** ((-(current - bucket) * PACE_STEP) / HALF_LIFE);
    weighed += weight * (amounts.get(bucket) ?? 0);
    time += weight * Math.min(PACE_STEP, now - bucket * PACE_STEP);
  }
  return weighed / time;
}

/**
 * Returns when nothing of the quota will be left at this pace; null if that does not come. Earlier pulls come
 * back meanwhile, when the window leaves them behind. If the quota lasts for a whole window, it lasts for
 * ever.
 */
export function emptyAt(left: number, limit: number, pace: number, pulls: SlidingCount, now: number) {
  if (left <= 0) return now;
  if (pace <= 0) return null;
  let at = now;
  let rest = left;
  for (const [bucket, amount] of pulls.buckets) {
    const next = pulls.forgottenAt(bucket);
    if (at + rest / pace <= next) return Math.ceil(at + rest / pace);
    rest = Math.min(limit, rest - pace * (next - at) + amount);
    at = next;
  }
  const end = at + rest / pace;
  return end <= now + pulls.windowMs ? Math.ceil(end) : null;
}
