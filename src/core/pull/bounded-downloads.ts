import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.ts';
import type { QuotaRefusal } from '../../protocol/core-api.ts';
import { SlidingCount } from '../budget/sliding-count.ts';
import type { Spender } from '../budget/spender.ts';
import { type CoreLimits, SUBJECT_DOWNLOADS } from '../limits.ts';
import type { DownloadBudgets } from './pull-part.ts';

export interface BoundedDownloadsOptions {
  readonly budgets: DownloadBudgets;
  readonly limits: Pick<CoreLimits, 'subjectDownloads'>;
  readonly clock: Clock;
}

/**
 * Bounds what each subject downloads into the cache, whatever the policy says, so that nobody replaces the
 * content of all others again and again. What another one has begun to download is free. The counts are in
 * memory alone: a restart begins at 0.
 */
export class BoundedDownloads implements DownloadBudgets {
  readonly #options: BoundedDownloadsOptions;
  readonly #counts = new LRUCache<string, SlidingCount>({ max: SUBJECT_DOWNLOADS.subjects });

  constructor(options: BoundedDownloadsOptions) {
    this.#options = options;
  }

  mayDownload(spender: Spender): QuotaRefusal | undefined {
    return this.#options.budgets.mayDownload(spender) ?? this.#refusal(spender);
  }

  chargeBytes(spender: Spender, bytes: number): void {
    this.#options.budgets.chargeBytes(spender, bytes);
    const { subjectKey } = spender;
    if (subjectKey === '') return;
    const count = this.#counts.get(subjectKey) ?? new SlidingCount(SUBJECT_DOWNLOADS.windowMs);
    this.#counts.set(subjectKey, count);
    count.add(bytes, this.#options.clock());
  }

  #refusal({ subjectKey }: Spender): QuotaRefusal | undefined {
    const { limits, clock } = this.#options;
    const { windowMs } = SUBJECT_DOWNLOADS;
    const max = limits.subjectDownloads;
    const count = this.#counts.get(subjectKey);
    const used = count?.total(clock()) ?? 0;
    if (count === undefined || used < max) return undefined;
    const untilMs = count.fallsToAt(max - 1, clock());
    return { kind: 'limit', unit: 'bytes', used, max, windowMs, untilMs };
  }
}
