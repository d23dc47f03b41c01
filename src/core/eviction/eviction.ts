/** What must go? Pure: of sizes, times and the settings. */
export interface EvictionRules {
  /** Bytes. */
  readonly maxSize: number;
  /** Milliseconds; 0: never. */
  readonly unusedFor: number;
}

/** Parts of `maxSize`: above the first, content goes until no more than the second is left. */
const HIGH_WATER = 0.95;
const LOW_WATER = 0.85;
/** Milliseconds for which nobody takes what was just used: its readers, and those who are told of it and come. */
const IN_USE_FOR = 60_000;

export interface EvictionPlan {
  /** Everything that was last used before this time goes. */
  readonly unusedBefore: number;
  /** Then as many bytes go, the longest unused first, but nothing used since `usableBefore`. */
  readonly bytes: number;
  readonly usableBefore: number;
}

export function planEviction(
  total: number,
  now: number,
  { maxSize, unusedFor }: EvictionRules,
): EvictionPlan {
  const isHigh = total > maxSize * HIGH_WATER;
  return {
    unusedBefore: unusedFor === 0 ? 0 : now - Math.max(unusedFor, IN_USE_FOR),
    bytes: isHigh ? Math.ceil(total - maxSize * LOW_WATER) : 0,
    usableBefore: now - IN_USE_FOR,
  };
}
