/**
 * Milliseconds that a token lives which is issued now: no longer than what was shown for it. Whole seconds, as tokens count
 * them, and at least one.
 */
export function tokenLifetime(longest: number, until: number | undefined, now: number): number {
  if (until === undefined) return longest;
  const left = until - Math.floor(now / 1000) * 1000;
  return Math.max(1000, Math.min(longest, left));
}
