import { AsyncLocalStorage } from 'node:async_hooks';
import type { UpstreamCost } from '../../registry/core-api.ts';

/** What one request to the core has cost at upstreams. */
export class Cost {
  #upstreamRequests = 0;
  #countedPulls = 0;

  /** What was added since it was taken last. */
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
 * Whatever `work` asks of upstreams is added to `cost`. It follows the calls rather than their parameters: what several
 * wait for runs as the call of the one who began it, and is that one's alone; a fill is so to its end, whoever has left
 * by then. What nobody asked for, such as a probe, is added nowhere.
 */
export function atTheCostOf<T>(cost: Cost, work: () => T): T {
  return bearing.run(cost, work);
}

/** One request that is sent to an upstream, its token service or where it redirects to. */
export function countRequest(): void {
  bearing.getStore()?.addRequest();
}

/** One pull of a quota. */
export function countPull(): void {
  bearing.getStore()?.addPull();
}
