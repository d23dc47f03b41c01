import pLimit from 'p-limit';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { CORE_STATUS, type CoreStatus } from '../../protocol/core-api.ts';
import type { UpstreamHost } from '../../registry/repository.ts';

type GuardedQuota = NonNullable<CoreStatus['upstreams'][number]['quota']>;

/**
 * The reserve for everybody else: this part of the quota, and at least this many pulls, but never more than
 * half of it.
 */
const RESERVE = { part: 0.1, least: 10, mostPart: 0.5 };

export interface QuotaGuardOptions {
  /** Returns the share of an upstream's quota that the policy reserves. */
  readonly reserved?: (host: UpstreamHost) => number;
  /** Asks for the core's status. */
  readonly status: () => Promise<object>;
  readonly clock?: Clock;
}

/** The result of the fetch, or the reason why nothing was fetched. */
export type Admitted<T> = { readonly fetched: T } | { readonly held: string };

/**
 * Leaves a part of an upstream's pull quota to everybody else. Only GETs of manifests that are not cached
 * count. They go one at a time, because only then is it known before each how much the earlier ones have
 * left.
 */
export class QuotaGuard {
  readonly #status: () => Promise<object>;
  readonly #reserved: (host: UpstreamHost) => number;
  readonly #clock: Clock;
  readonly #one = pLimit(1);
  /** The hosts that have been asked, and would thus have reported a quota if they had one. */
  readonly #asked = new Set<UpstreamHost>();
  /** The hosts that are no longer asked for manifests, and why. */
  readonly #held = new Map<UpstreamHost, string>();

  constructor({ status, reserved = () => 0, clock = systemClock }: QuotaGuardOptions) {
    this.#status = status;
    this.#reserved = reserved;
    this.#clock = clock;
  }

  /**
   * Calls `get` if that costs nothing or if enough is left. If the manifest is not cached, `isCached` sends a
   * HEAD to the upstream: that is free, and the answer says what is left now.
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

  /**
   * Records that the upstream has refused a pull because of its limit, and asked to come back after this
   * number of seconds.
   */
  limited(host: UpstreamHost, retryAfter: number | undefined): string {
    const wait = retryAfter === undefined ? '' : `, and says to try again in ${retryAfter} s`;
    return this.#hold(host, `${host} refuses for now, because it limits the pulls of this mirror${wait}`);
  }

  async #hasEnough(host: UpstreamHost): Promise<boolean> {
    if (this.#held.has(host)) return false;
    const quota = await this.#quota(host);
    if (quota === undefined) return this.#asked.has(host);
    const { limit, remaining, window, readAt } = quota;
    if (remaining > reserveOf(limit, this.#reserved(host))) return true;
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

  /** Returns undefined if no quota is known, or if the period of the known one is over. */
  async #quota(host: UpstreamHost): Promise<GuardedQuota | undefined> {
    const { upstreams } = CORE_STATUS.parse(await this.#status());
    const quota = upstreams.find((one) => one.host === host)?.quota ?? undefined;
    return quota !== undefined && quota.readAt + quota.window * 1000 > this.#clock() ? quota : undefined;
  }
}

/** Warming is for nobody whom a reserve is for, so it leaves what is reserved, too. */
function reserveOf(limit: number, reserved: number): number {
  const usual = Math.min(limit * RESERVE.mostPart, Math.max(RESERVE.least, limit * RESERVE.part));
  return Math.max(usual, limit * reserved);
}
