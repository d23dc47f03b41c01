import pLimit from 'p-limit';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { CORE_STATUS, type CoreStatus } from '../../registry/core-api.ts';
import type { UpstreamHost } from '../../registry/repository.ts';

type Quota = NonNullable<CoreStatus['upstreams'][number]['quota']>;

/** So large a part of the quota, and so many pulls at least, are for everybody else; but never more than half of it. */
const RESERVE = { part: 0.1, least: 10, mostPart: 0.5 };

export interface QuotaGuardOptions {
  /** The core's status. */
  readonly status: () => Promise<object>;
  readonly clock?: Clock;
}

/** What was fetched; or why nothing was. */
export type Admitted<T> = { readonly fetched: T } | { readonly held: string };

/**
 * Leaves something of an upstream's pull quota to everybody else. What counts are GETs of manifests that are not cached;
 * they go one at a time, for only then is it known before each what the ones before have left.
 */
export class QuotaGuard {
  readonly #status: () => Promise<object>;
  readonly #clock: Clock;
  readonly #one = pLimit(1);
  /** The hosts that have been asked, and so would have said what quota they have. */
  readonly #asked = new Set<UpstreamHost>();
  /** The hosts that are not asked for manifests any more, and why. */
  readonly #held = new Map<UpstreamHost, string>();

  constructor({ status, clock = systemClock }: QuotaGuardOptions) {
    this.#status = status;
    this.#clock = clock;
  }

  /**
   * Calls `get` where that costs nothing or enough is left. `isCached` asks the upstream with a HEAD where it is not: that
   * is free, and the answer says what is left now.
   */
  admit<T>(
    host: UpstreamHost,
    isCached: () => Promise<boolean>,
    get: () => Promise<T>,
  ): Promise<Admitted<T>> {
    return this.#one(async () => {
      if ((await this.#hasEnough(host)) || (await isCached())) return { fetched: await get() };
      this.#asked.add(host);
      if (await this.#hasEnough(host)) return { fetched: await get() };
      return { held: this.#held.get(host) ?? '' };
    });
  }

  /** The upstream has said that there were too many, and to come back after so many seconds. */
  limited(host: UpstreamHost, retryAfter: number | undefined): string {
    const wait = retryAfter === undefined ? '' : `, and says to try again in ${retryAfter} s`;
    return this.#hold(host, `${host} refuses for now, because it limits the pulls of this mirror${wait}`);
  }

  async #hasEnough(host: UpstreamHost): Promise<boolean> {
    if (this.#held.has(host)) return false;
    const quota = await this.#quota(host);
    if (quota === undefined) return this.#asked.has(host);
    const { limit, remaining, window, readAt } = quota;
    if (remaining > reserveOf(limit)) return true;
    if (this.#asked.has(host)) {
      const end = new Date(readAt + window * 1000).toISOString();
      const kept = `${remaining} of ${limit} pulls are left, which are kept for everybody else`;
      this.#hold(host, `${host}: ${kept}; all are back at ${end} at the latest`);
    }
    return false;
  }

  #hold(host: UpstreamHost, reason: string): string {
    this.#held.set(host, reason);
    return reason;
  }

  /** Undefined where none is known, or the one that is known is over. */
  async #quota(host: UpstreamHost): Promise<Quota | undefined> {
    const { upstreams } = CORE_STATUS.parse(await this.#status());
    const quota = upstreams.find((one) => one.host === host)?.quota ?? undefined;
    return quota !== undefined && quota.readAt + quota.window * 1000 > this.#clock() ? quota : undefined;
  }
}

function reserveOf(limit: number): number {
  return Math.min(limit * RESERVE.mostPart, Math.max(RESERVE.least, limit * RESERVE.part));
}
