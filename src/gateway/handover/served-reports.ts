import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises';
import type { Served } from '../../registry/core-api.ts';
import type { RememberableCore } from './builtin-core.ts';

/** How many are sent at once, and milliseconds from one time to the next: a report costs more than what is in it. */
const MAX_BATCH = 1_000;
const PAUSE = 5;
/** Beyond that the core does not keep up; the record can do without. */
const MAX_WAITING = 20_000;

interface Report {
  readonly served: Served;
  readonly done: (pull: string | undefined) => void;
}

/**
 * Tells the core what was given out of memory, and hears to which pull it belongs: at once where little is asked, and many
 * together where much is.
 */
export class ServedReports implements AsyncDisposable {
  readonly #core: Pick<RememberableCore, 'served'>;
  #waiting: Report[] = [];
  #sending: Promise<void> | undefined;
  /** By the monotonic clock. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #last: Promise<unknown> = Promise.resolve();

  constructor(core: Pick<RememberableCore, 'served'>) {
    this.#core = core;
  }

  /** The id of its pull; undefined where the core does not tell. */
  add(served: Served): Promise<string | undefined> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.push({ served, done: resolve });
    this.#sending ??= this.#sendAll();
    this.#last = promise;
    return promise;
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const early = this.#sentAt + PAUSE - performance.now();
      // What comes up in the same turn goes along.
      await (early > 0 ? delay(early) : immediate());
      this.#sentAt = performance.now();
      await this.#send(this.#waiting.splice(0, MAX_BATCH));
    }
    this.#sending = undefined;
  }

  async #send(batch: readonly Report[]): Promise<void> {
    const pulls = await this.#core.served(batch.map(({ served }) => served)).catch(() => []);
    for (const [index, { done }] of batch.entries()) done(pulls[index] ?? undefined);
  }

  /** Resolves when the core has been told everything so far: a request that is asked of it then does not overtake an earlier one. */
  async told(): Promise<void> {
    await this.#last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sending;
  }
}
