import { setImmediate as immediate } from 'node:timers/promises';
import type { Served } from '../../registry/core-api.ts';
import type { RememberableCore } from './builtin-core.ts';

/** How many are sent at once. */
const MAX_BATCH = 1_000;
/** Beyond that the core does not keep up; the record can do without. */
const MAX_WAITING = 20_000;

interface Report {
  readonly served: Served;
  readonly done: (pull: string | undefined) => void;
}

/**
 * Tells the core what was given out of memory, and hears to which pull it belongs. One report is under way at a time, and takes along
 * whatever has come up meanwhile: at once where little is asked, and many together where much is.
 */
export class ServedReports implements AsyncDisposable {
  readonly #core: Pick<RememberableCore, 'served'>;
  #waiting: Report[] = [];
  #sending: Promise<void> | undefined;
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
    await immediate();
    while (this.#waiting.length > 0) await this.#send(this.#waiting.splice(0, MAX_BATCH));
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
