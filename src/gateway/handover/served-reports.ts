import type { Served } from '../../registry/core-api.ts';
import type { RememberableCore } from './builtin-core.ts';

/** Milliseconds for which reports wait for others, and how many are sent at once at most. */
const BATCH_EVERY = 10;
const MAX_BATCH = 1_000;
/** Beyond that the core does not keep up; the record can do without. */
const MAX_WAITING = 20_000;

interface Report {
  readonly served: Served;
  readonly done: (pull: string | undefined) => void;
}

/** Tells the core what was given out of memory, many at a time, and which pull each belongs to. Nobody waits but the record. */
export class ServedReports implements AsyncDisposable {
  readonly #core: Pick<RememberableCore, 'served'>;
  #waiting: Report[] = [];
  #sending: Promise<void> | undefined;

  constructor(core: Pick<RememberableCore, 'served'>) {
    this.#core = core;
  }

  /** The id of its pull; undefined where the core does not tell. */
  add(served: Served): Promise<string | undefined> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.push({ served, done: resolve });
    this.#sending ??= this.#sendAll();
    return promise;
  }

  async #sendAll(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, BATCH_EVERY));
    while (this.#waiting.length > 0) await this.#send(this.#waiting.splice(0, MAX_BATCH));
    this.#sending = undefined;
  }

  async #send(batch: readonly Report[]): Promise<void> {
    const pulls = await this.#core.served(batch.map(({ served }) => served)).catch(() => []);
    for (const [index, { done }] of batch.entries()) done(pulls[index] ?? undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sending;
  }
}
