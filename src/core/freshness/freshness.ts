/** Is what was learnt from an upstream still to be believed? Pure: of two times and the settings. */
export interface FreshnessRules {
  /** Milliseconds for which an answer holds without asking again. */
  readonly freshFor: number;
  /** Milliseconds beyond that for which it stands in while the upstream cannot be asked. */
  readonly staleFor: number;
}

export type Freshness = 'fresh' | 'stale' | 'expired';

export function judgeFreshness(
  checkedAt: number,
  now: number,
  { freshFor, staleFor }: FreshnessRules,
): Freshness {
  const age = now - checkedAt;
  // A clock that was set back makes ages negative; then nothing is known of how old the answer is.
  if (age >= 0 && age < freshFor) return 'fresh';
  return age < freshFor + staleFor ? 'stale' : 'expired';
}
