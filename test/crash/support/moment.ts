import { type EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from './random.ts';

export interface Moment {
  /** In milliseconds. */
  readonly longest: number;
  /** The event at which the moment often is, if it comes before. */
  readonly event: 'promised' | 'filled';
  readonly often: number;
}

/** Waits for a random moment, or for the worst one, which is that of the event. */
export async function anyMoment(
  random: Random,
  ledger: EventEmitter<{ promised: []; filled: [] }>,
  { longest, event, often }: Moment,
): Promise<void> {
  const over = new AbortController();
  const moments: Promise<unknown>[] = [delay(random.below(longest), undefined, over)];
  if (random.chance(often)) moments.push(once(ledger, event, over));
  await Promise.race(moments);
  over.abort();
  await Promise.allSettled(moments);
}
