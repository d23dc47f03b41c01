import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { RandomIds } from '../../platform/random-ids.ts';
import { RECENT_PULL_TTL } from '../limits.ts';

/** The bytes of a push's id. */
const ID_BYTES = 8;
/** The most pairs of a caller and a repository. */
const MAX_PUSHES = 5_000;

/**
 * Determines which requests belong to one push: those of one caller to one repository, until the one that
 * sets a tag. The core does this because the connections of a client end in several gateways. Two pushes of
 * one caller to one repository at the same time cannot be distinguished.
 */
export class RecentPushes {
  readonly #ids = new RandomIds(ID_BYTES);
  readonly #pushes: ExpiringCache<{ readonly id: string }>;

  constructor(clock: Clock) {
    this.#pushes = new ExpiringCache(MAX_PUSHES, clock);
  }

  /** Returns the id of the push that a request belongs to. */
  of(caller: string, repository: string): string {
    const key = `${caller} ${repository}`;
    const push = this.#pushes.get(key) ?? { id: this.#ids.next() };
    this.#pushes.set(key, push, RECENT_PULL_TTL);
    return push.id;
  }

  /** The next request belongs to another push. */
  end(caller: string, repository: string): void {
    this.#pushes.delete(`${caller} ${repository}`);
  }
}
