import { EVICTION } from '../limits.ts';

/** Decides what must be evicted. This module is pure: it depends only on sizes, times and settings. */
export interface EvictionRules {
  /** The bytes that the cache may take. */
  readonly maxSize: number;
  /** The milliseconds after which unused content is evicted; 0 means never. */
  readonly unusedFor: number;
}

/** One step evicts this many bytes, least recently used first, and spares content used since `before`. */
export interface EvictionStep {
  readonly bytes: number;
  readonly before: number;
}

export interface EvictionPlan {
  /** Everything that was last used before this time goes. */
  readonly unusedBefore: number;
  readonly unused: EvictionStep;
  /**
   * Further bytes to evict if the first step leaves more than the limit, because the content in use exceeds
   * the cache.
   */
  readonly inUse: EvictionStep;
}

export function planEviction(
  total: number,
  now: number,
  { maxSize, unusedFor }: EvictionRules,
): EvictionPlan {
  const excess = (part: number) => Math.ceil(total - maxSize * part);
  const isHigh = total > maxSize * EVICTION.highWater;
  return {
    unusedBefore: unusedFor === 0 ? 0 : now - Math.max(unusedFor, EVICTION.inUseFor),
    unused: { bytes: isHigh ? excess(EVICTION.lowWater) : 0, before: now - EVICTION.inUseFor },
    inUse: {
      bytes: total > maxSize ? excess(EVICTION.highWater) : 0,
      before: now - EVICTION.readWithin,
    },
  };
}
