import type { Lease, Leases } from '../../cluster/leases.ts';
import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import type { HostedDuty } from '../hosted/duty.ts';

/** The name of the lease. */
const DUTY = 'duty hosted';

/** One node at a time has the lease and keeps it. When it ends or is cut off, another one takes it. */
export class LeasedDuty implements HostedDuty, AsyncDisposable {
  readonly #leases: Leases;
  #held: Lease | undefined;
  /** Two tasks that are due at the same time take one lease. */
  #taking: Promise<AbortSignal | undefined> | undefined;

  constructor(leases: Leases) {
    this.#leases = leases;
  }

  async take(): Promise<AbortSignal | undefined> {
    if (this.#held !== undefined && !this.#held.lost.aborted) return this.#held.lost;
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
    });
    return this.#taking;
  }

  async #take(): Promise<AbortSignal | undefined> {
    try {
      const taken = await this.#leases.take(DUTY);
      this.#held = taken.kind === 'held' ? taken : undefined;
    } catch (error) {
      // Without the database there is nothing to do.
      if (!(error instanceof DatabaseUnavailable)) throw error;
      this.#held = undefined;
    }
    return this.#held?.lost;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.[Symbol.asyncDispose]();
  }
}
