import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises';
import type { CacheHit } from '../../protocol/core-api.ts';
import { HIT_REPORTS } from '../limits.ts';
import type { CacheableCoreClient } from './local-core-client.ts';

interface PendingReport {
  readonly served: CacheHit;
  readonly done: (pull: string | undefined) => void;
}

/**
 * Reports cache hits to the core, and receives the pulls that they belong to. A hit is reported at once if
 * there are few requests, and many are reported together if there are many.
 */
export class HitReporter implements AsyncDisposable {
  readonly #core: Pick<CacheableCoreClient, 'reportHits'>;
  #waiting: PendingReport[] = [];
  #sending: Promise<void> | undefined;
  /** The time of the last report, by the monotonic clock. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #last: Promise<unknown> = Promise.resolve();

  constructor(core: Pick<CacheableCoreClient, 'reportHits'>) {
    this.#core = core;
  }

  /** Resolves to the id of the pull; to undefined if the core does not report it. */
  add(served: CacheHit): Promise<string | undefined> {
    if (this.#waiting.length >= HIT_REPORTS.maxWaiting) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.push({ served, done: resolve });
    this.#sending ??= this.#sendAll();
    this.#last = promise;
    return promise;
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const early = this.#sentAt + HIT_REPORTS.pause - performance.now();
      // Hits of the same turn of the event loop go into the same report.
      await (early > 0 ? delay(early) : immediate());
      this.#sentAt = performance.now();
      await this.#send(this.#waiting.splice(0, HIT_REPORTS.maxBatch));
    }
    this.#sending = undefined;
  }

  async #send(batch: readonly PendingReport[]): Promise<void> {
    const pulls = await this.#core.reportHits(batch.map(({ served }) => served)).catch(() => []);
    for (const [index, { done }] of batch.entries()) done(pulls[index] ?? undefined);
  }

  /**
   * Resolves when everything so far has been reported to the core, so that a request that is sent then does
   * not overtake an earlier hit.
   */
  async flushed(): Promise<void> {
    await this.#last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sending;
  }
}
