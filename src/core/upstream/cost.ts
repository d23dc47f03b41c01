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

  /** Counts one request to an upstream, to its token service or to a redirect target. */
  addRequest(): void {
    this.#upstreamRequests++;
  }

  /** Counts one pull of a quota. */
  addPull(): void {
    this.#countedPulls++;
  }
}
