/** Tells the database from time to time which contents this node uses, so that their objects stay. */
import { LRUCache } from 'lru-cache';
import type { StoredObjects } from '../../../cluster/objects/stored-objects.ts';
import { DatabaseUnavailable } from '../../../platform/database-unavailable.ts';
import type { Logger } from '../../../platform/log.ts';
import { runPeriodically } from '../../../platform/scheduling/periodic-task.ts';
import type { Digest } from '../../../registry/digest.ts';

export interface ObjectUsesOptions {
  readonly objects: StoredObjects;
  /** The milliseconds between two messages, and those for which the same use is not reported again. */
  readonly every: number;
  readonly repeatAfter: number;
  readonly log: Logger;
}

const BATCH = 1_000;
const MAX_REPORTED = 100_000;

export class ObjectUses implements AsyncDisposable {
  readonly #options: ObjectUsesOptions;
  readonly #reported: LRUCache<Digest, true>;
  readonly #reporting: AsyncDisposable;
  #used = new Set<Digest>();

  constructor(options: ObjectUsesOptions) {
    this.#options = options;
    this.#reported = new LRUCache({ max: MAX_REPORTED, ttl: Math.max(1, options.repeatAfter) });
    this.#reporting = runPeriodically(options.every, async () => void (await this.#report()), options.log);
  }

  add(digest: Digest): void {
    if (!this.#reported.has(digest)) this.#used.add(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reporting[Symbol.asyncDispose]();
    await this.#report();
  }

  async #report(): Promise<void> {
    const used = [...this.#used];
    try {
      for (let at = 0; at < used.length; at += BATCH) {
        const batch = used.slice(at, at + BATCH);
        await this.#options.objects.use(batch);
        for (const digest of batch) {
          this.#used.delete(digest);
          this.#reported.set(digest, true);
        }
      }
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
    }
  }
}
