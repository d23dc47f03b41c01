/**
 * Knows whether the object store can be used. It is asked periodically, so that nobody has to wait for a
 * store that does not answer.
 */
import type { Logger } from '../../platform/log.ts';
import { MutableValue, type ObservableValue } from '../../platform/observable-value.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { ObjectLimits } from './limits.ts';
import { type ObjectResult, storeUnavailable } from './object-result.ts';

export interface ObjectHealthOptions {
  readonly probe: (signal: AbortSignal) => Promise<ObjectResult<void>>;
  readonly limits: Pick<ObjectLimits, 'probe' | 'probeEvery'>;
  readonly log: Logger;
}

export class ObjectHealth implements AsyncDisposable {
  readonly #options: ObjectHealthOptions;
  readonly #trouble = new MutableValue<string | undefined>(undefined);
  readonly #probing: AsyncDisposable;
  /** Aborted when the store goes away, for the requests that are under way. */
  #leaving = new AbortController();
  #isDisposed = false;

  constructor(options: ObjectHealthOptions) {
    this.#options = options;
    this.#probing = runPeriodically(options.limits.probeEvery, (signal) => this.#look(signal), options.log);
  }

  get trouble(): ObservableValue<string | undefined> {
    return this.#trouble;
  }

  /** Runs a request, unless the store is away. The signal also ends it when the store goes away meanwhile. */
  async guard<T>(
    signal: AbortSignal,
    task: (guarded: AbortSignal) => Promise<ObjectResult<T>>,
  ): Promise<ObjectResult<T>> {
    const trouble = this.#trouble.current;
    if (trouble !== undefined) return storeUnavailable(trouble);
    return task(AbortSignal.any([signal, this.#leaving.signal]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#leaving.abort(new Error('the node is stopping'));
    await this.#probing[Symbol.asyncDispose]();
  }

  /** One late answer can be chance. A second one in a row is not. */
  async #look(signal: AbortSignal): Promise<undefined> {
    let answer = await this.#probe(signal);
    if (answer.kind !== 'ok' && this.#trouble.current === undefined) answer = await this.#probe(signal);
    if (this.#isDisposed) return;
    const trouble = answer.kind === 'ok' ? undefined : answer.detail;
    const before = this.#trouble.current;
    if (before === trouble) return;
    this.#trouble.set(trouble);
    const { log } = this.#options;
    if (trouble === undefined) log.info('the object store of the cluster is back');
    else if (before === undefined) {
      log.warn({ reason: trouble }, 'the object store of the cluster cannot be used; uploads wait');
      this.#leaving.abort(new Error(trouble));
      this.#leaving = new AbortController();
    }
  }

  async #probe(stopping: AbortSignal): Promise<ObjectResult<void>> {
    using deadline = new Deadline(this.#options.limits.probe);
    return await this.#options.probe(AbortSignal.any([stopping, deadline.signal]));
  }
}
