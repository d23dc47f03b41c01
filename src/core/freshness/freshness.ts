/**
 * Decides whether an answer of an upstream may still be used. This module is pure: it depends only on two
 * times and settings.
 */
export interface FreshnessRules {
  /** The milliseconds for which an answer is used without asking again. */
  readonly freshFor: number;
  /** The milliseconds beyond `freshFor` for which an answer is used while the upstream cannot be asked. */
  readonly staleFor: number;
}

export type Freshness = 'fresh' | 'stale' | 'expired';

export function judgeFreshness(
  checkedAt: number,
  now: number,
  { freshFor, staleFor }: FreshnessRules,
): Freshness {
  const age = now - checkedAt;
  // If the clock was set back, the age is negative, and then the real age is unknown.
  if (age >= 0 && age < freshFor) return 'fresh';
  return age < freshFor + staleFor ? 'stale' : 'expired';
}
