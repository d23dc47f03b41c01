import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Ledger } from './ledger.ts';
import type { Random } from './random.ts';

export interface Moment {
  /** Milliseconds. */
  readonly longest: number;
  /** The moment is often that of this event, if it comes before. */
  readonly event: 'promised' | 'filled';
  readonly often: number;
}

/** Any time from now on; or the worst one. */
export async function anyMoment(
  random: Random,
  ledger: Ledger,
  { longest, event, often }: Moment,
): Promise<void> {
  const over = new AbortController();
  const moments: Promise<unknown>[] = [delay(random.below(longest), undefined, over)];
  if (random.chance(often)) moments.push(once(ledger, event, over));
  await Promise.race(moments);
  over.abort();
  await Promise.allSettled(moments);
}
