import type { Clock } from '../../platform/clock.ts';
import { every } from '../../platform/every.ts';
import type { Logger } from '../../platform/log.ts';
import type { Store } from '../store/store.ts';
import { type EvictionRules, planEviction } from './eviction.ts';

export interface SweepOptions extends EvictionRules {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEvicted: (evicted: Evicted) => void;
  /** Milliseconds between two sweeps. */
  readonly interval: number;
}

export interface Evicted {
  readonly blobs: number;
  readonly bytes: number;
}

const BATCH = 100;

/** Evicts again and again what the rules say must go. A file that is read goes on to be readable by who reads it. */
export function sweep(options: SweepOptions): AsyncDisposable {
  const { log, interval, onEvicted } = options;
  return every(
    interval,
    async (signal) => {
      const evicted = await sweepOnce(options, signal);
      onEvicted(evicted);
      if (evicted.blobs > 0) log.info(evicted, 'evicted');
      return undefined;
    },
    log,
  );
}

async function sweepOnce({ store, clock, ...rules }: SweepOptions, signal: AbortSignal): Promise<Evicted> {
  await store.content.flushUses();
  const { bytes: total } = await store.index.stats();
  const plan = planEviction(total, clock(), rules);
  const evicted = { blobs: 0, bytes: 0 };
  const evict = async (before: number, isEnough: () => boolean) => {
    while (!signal.aborted && !isEnough()) {
      const batch = await store.index.unusedSince(before, BATCH);
      for (const { digest, size } of batch) {
        if (signal.aborted || isEnough()) return;
        await store.content.remove(digest);
        evicted.blobs++;
        evicted.bytes += size;
      }
      if (batch.length < BATCH) return;
    }
  };
  await evict(plan.unusedBefore, () => false);
  await evict(plan.usableBefore, () => evicted.bytes >= plan.bytes);
  return evicted;
}
