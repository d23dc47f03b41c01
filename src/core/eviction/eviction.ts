import { EVICTION } from '../limits.ts';

/** What must go? Pure: of sizes, times and the settings. */
export interface EvictionRules {
  /** Bytes. */
  readonly maxSize: number;
  /** Milliseconds; 0: never. */
  readonly unusedFor: number;
}

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
  const isHigh = total > maxSize * EVICTION.highWater;
  return {
    unusedBefore: unusedFor === 0 ? 0 : now - Math.max(unusedFor, EVICTION.inUseFor),
    bytes: isHigh ? Math.ceil(total - maxSize * EVICTION.lowWater) : 0,
    usableBefore: now - EVICTION.inUseFor,
  };
}
