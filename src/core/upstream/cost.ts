import type { UpstreamCost } from '../../protocol/core-api.ts';

/** The cost of one request to the core at upstreams. */
export class Cost {
  #upstreamRequests = 0;
  #countedPulls = 0;
  #account: string | undefined;

  /** Returns the cost that was added since the last call. */
  take(): UpstreamCost {
    const account = this.#account;
    const taken = {
      upstreamRequests: this.#upstreamRequests,
      countedPulls: this.#countedPulls,
      ...(account !== undefined && { account }),
    };
    this.#upstreamRequests = 0;
    this.#countedPulls = 0;
    this.#account = undefined;
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

  /** Records which of several accounts bears the cost. The last one counts. */
  useAccount(name: string): void {
    this.#account = name;
  }
}
