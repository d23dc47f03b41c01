import { AsyncLocalStorage } from 'node:async_hooks';
import type { UpstreamCost } from '../../protocol/core-api.ts';

/** The cost of one request to the core at upstreams. */
export class Cost {
  #upstreamRequests = 0;
  #countedPulls = 0;

  /** Returns the cost that was added since the last call. */
  take(): UpstreamCost {
    const taken = { upstreamRequests: this.#upstreamRequests, countedPulls: this.#countedPulls };
    this.#upstreamRequests = 0;
    this.#countedPulls = 0;
    return taken;
  }

  addRequest(): void {
    this.#upstreamRequests++;
  }

  addPull(): void {
    this.#countedPulls++;
  }
}

const bearing = new AsyncLocalStorage<Cost>();

/**
 * Adds every upstream request of `work` to `cost`. The cost follows the asynchronous calls and not their
 * parameters: a shared operation runs as a call of the caller that began it, and counts for that caller
 * alone. This holds for a fill to its end, even if the caller has left. An operation that no caller began,
 * such as a probe, is not counted.
 */
export function atTheCostOf<T>(cost: Cost, work: () => T): T {
  return bearing.run(cost, work);
}

/** Counts one request to an upstream, to its token service or to a redirect target. */
export function countRequest(): void {
  bearing.getStore()?.addRequest();
}

/** Counts one pull of a quota. */
export function countPull(): void {
  bearing.getStore()?.addPull();
}
