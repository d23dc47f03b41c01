/**
 * Returns the lifetime of a token that is issued now, in milliseconds. It is not longer than that of the
 * presented credential. It is in whole seconds, as in tokens, and at least one.
 */
export function tokenLifetime(longest: number, until: number | undefined, now: number): number {
  if (until === undefined) return longest;
  const left = until - Math.floor(now / 1000) * 1000;
  return Math.max(1000, Math.min(longest, left));
}
