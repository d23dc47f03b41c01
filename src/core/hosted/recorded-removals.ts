import type { FetchedRemovals } from '../../protocol/hosted-api.ts';
import type { HostedDuty } from './duty.ts';
import type { HostedDatabase } from './hosted-database.ts';
import { COLLECTION } from './limits.ts';

/**
 * The removals by retention and by the collection that the audit log does not have yet. They are written down
 * in the transaction that removes the content, so that a crash loses none. Gateways fetch them, because
 * gateways write the audit log. In a cluster only the gateways of the node on duty get any.
 */
export class RecordedRemovals {
  readonly #database: HostedDatabase;
  readonly #duty: HostedDuty;
  /**
   * The removals that a gateway has fetched and not confirmed. From `until` on another one may fetch them.
   */
  #fetched: { readonly last: number; readonly until: number } | undefined;

  constructor(database: HostedDatabase, duty: HostedDuty) {
    this.#database = database;
    this.#duty = duty;
  }

  /**
   * Forgets the removals up to `written`, which are in the audit log, and resolves to the next ones. There
   * are none while another gateway writes some.
   */
  async next(written: number | undefined): Promise<FetchedRemovals> {
    if (this.#database.failure !== undefined) return [];
    if (written !== undefined) await this.#forget(written);
    if ((await this.#duty.take()) === undefined) return [];
    if (this.#fetched !== undefined && performance.now() < this.#fetched.until) return [];
    const removals = await this.#database.read((select) => select.removals.all(COLLECTION.fetchedRemovals));
    const last = removals.at(-1)?.id;
    this.#fetched =
      last === undefined ? undefined : { last, until: performance.now() + COLLECTION.refetchRemovals };
    return removals;
  }

  async #forget(written: number): Promise<void> {
    await this.#database.change(({ change }) => change.forgetRemovals.run(written));
    if (this.#fetched !== undefined && this.#fetched.last <= written) this.#fetched = undefined;
  }
}
