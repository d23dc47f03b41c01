import type { AccountBudget } from '../../protocol/budget-report.ts';
import type { QuotaRefusal, Reserved } from '../../protocol/core-api.ts';
import { parseUpstreamHost, type UpstreamHost } from '../../registry/repository.ts';
import { BUDGET } from '../limits.ts';
import type { Quota } from '../upstream/quota.ts';
import { DEFAULT_ACCOUNT, type StatedQuota } from '../upstream/upstream.ts';
import { CountTable, type StoredCount } from './count-table.ts';
import { FairShare } from './fair-share.ts';
import { emptyAt, PACE_WINDOW, paceOf } from './forecast.ts';

/** The last report of the upstream, as it is stored. */
export interface StoredReading {
  readonly quota: Quota;
  /** The number of pulls that the upstream counts beyond the pulls of this mirror. */
  readonly beyond: number;
}

/** A quota, and what is left of it now. */
interface KnownQuota {
  readonly source: 'upstream' | 'stated';
  readonly limit: number;
  readonly windowMs: number;
  readonly left: number;
  /** The pulls that did not come through this mirror. Negative if the upstream counts fewer than we do. */
  readonly beyond: number;
  readonly readAt: number | null;
}

/** The key of the only count in a table. */
const ALL = '';

/** The pulls with one account of an upstream, its quota, and who may still use it. */
export class AccountQuota {
  readonly upstream: UpstreamHost;
  readonly account: string;
  /** The quota in hubgate.yaml. It applies while the upstream reports none. */
  readonly #stated: StatedQuota | undefined;
  readonly #onChange: () => void;
  readonly #pulls: CountTable;
  readonly #pace: CountTable;
  readonly #share: FairShare;
  #reading: StoredReading | undefined;
  /** True if the file does not have the reading yet. */
  #isReadingUnsaved = false;
  /** The pulls since the start that were sent to the upstream. */
  #sent = 0;
  /** The number of the next pull. */
  #next = 0;
  /** The numbers of the pulls that the upstream has not answered yet, in ascending order. */
  readonly #unanswered = new Set<number>();

  constructor(
    upstream: UpstreamHost,
    account: string,
    stated: StatedQuota | undefined,
    onChange: () => void,
  ) {
    const owner = accountKey(upstream, account);
    this.upstream = upstream;
    this.account = account;
    this.#stated = stated;
    this.#onChange = onChange;
    this.#pulls = new CountTable('account', owner, onChange);
    this.#pace = new CountTable('pace', owner, onChange);
    this.#share = new FairShare(owner, onChange);
  }

  get tables(): readonly CountTable[] {
    return [this.#pulls, this.#pace, this.#share.table];
  }

  /** Records that the upstream has named its quota. */
  recordReading(quota: Quota, now: number): void {
    const windowMs = quota.window * 1000;
    const ours = this.#pulls.count(ALL, windowMs, now).total(now);
    const least = quota.limit - quota.remaining - ours;
    // The upstream may or may not have counted the pulls that it had not answered when it said this.
    const [oldest = this.#next] = this.#unanswered;
    const most = least + Math.min(ours, this.#next - oldest);
    const before = this.#validReading(now)?.beyond ?? 0;
    this.#reading = { quota, beyond: Math.min(most, Math.max(least, before)) };
    this.#isReadingUnsaved = true;
    this.#onChange();
  }

  /** Returns the quota, if one is known. */
  quota(now: number): KnownQuota | undefined {
    const reading = this.#validReading(now);
    if (reading !== undefined) {
      const { quota, beyond } = reading;
      const { limit, readAt } = quota;
      return { source: 'upstream', limit, ...this.#left(limit, beyond, quota.window * 1000, now), readAt };
    }
    if (this.#stated === undefined) return undefined;
    const { pulls: limit, windowMs } = this.#stated;
    return { source: 'stated', limit, ...this.#left(limit, 0, windowMs, now), readAt: null };
  }

  /** Returns why the quota refuses a pull. Without a known quota nothing is refused. */
  refusal(subject: string, reserved: Reserved, now: number): QuotaRefusal | undefined {
    const quota = this.quota(now);
    const windowMs = quota?.windowMs ?? BUDGET.windowMs;
    if (quota === undefined) {
      if (subject !== '') this.#share.ask(subject, windowMs, now);
      return undefined;
    }
    const { limit, left, beyond } = quota;
    // 0.07 * 100 is 7.000000000000001, which must not be rounded up to 8.
    const kept = Math.ceil(reserved.share * limit - 1e-6);
    const counts = { unit: 'pulls', used: limit - left, max: limit, windowMs } as const;
    if (kept > 0 && left <= kept) {
      const [id] = reserved.ids;
      return {
        kind: 'reserve',
        ...(id !== undefined && { id }),
        ...counts,
        ...this.#until(kept + 1, quota, now),
      };
    }
    if (subject !== '') this.#share.ask(subject, windowMs, now);
    // An upstream that keeps a count refuses by itself, and it may know better.
    if (left <= 0 && quota.source === 'stated')
      return { kind: 'upstream', ...counts, ...this.#until(1, quota, now) };
    if (subject === '' || left > limit * BUDGET.shortBelow) return undefined;
    const exceeded = this.#share.exceeded(subject, limit - Math.max(0, beyond), windowMs, now);
    if (exceeded === undefined) return undefined;
    const { used, share, untilMs } = exceeded;
    return { kind: 'share', unit: 'pulls', used, max: share, windowMs, untilMs };
  }

  /** Counts a pull, and returns its number. */
  take(subject: string, now: number): number {
    const windowMs = this.#windowMs(now);
    this.#pulls.add(this.#pulls.entry(ALL, windowMs, now), 1, now);
    this.#pace.add(this.#pace.entry(ALL, PACE_WINDOW, now), 1, now);
    if (subject !== '') this.#share.add(subject, windowMs, now);
    const number = this.#next++;
    this.#unanswered.add(number);
    return number;
  }

  answered(number: number): void {
    if (this.#unanswered.delete(number)) this.#sent++;
  }

  /** Takes a pull back that was not sent. Returns false if it was taken back before, or answered. */
  takeBack(number: number, subject: string, since: number): boolean {
    if (!this.#unanswered.delete(number)) return false;
    for (const table of [this.#pulls, this.#pace]) {
      const entry = table.find(ALL);
      if (entry !== undefined) table.takeBack(entry, 1, since);
    }
    if (subject !== '') this.#share.takeBack(subject, since);
    return true;
  }

  load(reading: StoredReading): void {
    this.#reading = reading;
  }

  loadCount(row: StoredCount, now: number): void {
    if (row.kind === 'subject') this.#share.load(row, now);
    else (row.kind === 'pace' ? this.#pace : this.#pulls).load(row);
  }

  /** Sets what another node of a cluster has counted. */
  loadElsewhere(node: string, row: StoredCount, now: number): void {
    if (row.kind === 'subject') this.#share.loadElsewhere(node, row, now);
    else (row.kind === 'pace' ? this.#pace : this.#pulls).loadElsewhere(node, row, now);
  }

  /** Takes what the upstream said to another node, if that is newer. */
  takeReadingOf(reading: StoredReading): void {
    if (reading.quota.readAt > (this.#reading?.quota.readAt ?? 0)) this.#reading = reading;
  }

  /** Returns the reading, if the file does not have it yet. */
  get newReading(): StoredReading | undefined {
    return this.#isReadingUnsaved ? this.#reading : undefined;
  }

  stored(): void {
    this.#isReadingUnsaved = false;
  }

  report(now: number): AccountBudget {
    const quota = this.quota(now);
    const windowMs = this.#windowMs(now);
    const pulls = this.#pulls.count(ALL, windowMs, now);
    const used = pulls.total(now);
    const pace = paceOf(this.#pace.count(ALL, PACE_WINDOW, now), now);
    return {
      upstream: this.upstream,
      account: this.account === DEFAULT_ACCOUNT ? null : this.account,
      ...{ pulls: this.#sent, used, windowMs },
      quota: quota === undefined ? null : reported(quota),
      subjects: this.#share.active,
      share: quota === undefined ? null : this.#share.share(quota.limit - Math.max(0, quota.beyond)),
      pullsPerHour: pace * 3_600_000,
      emptyAt: quota === undefined ? null : emptyAt(quota.left, quota.limit, pace, pulls, now),
      fullAgainAt: quota === undefined ? null : this.#fullAgainAt(quota, now),
    };
  }

  #windowMs(now: number): number {
    const reading = this.#validReading(now);
    return reading === undefined ? (this.#stated?.windowMs ?? BUDGET.windowMs) : reading.quota.window * 1000;
  }

  #validReading(now: number): StoredReading | undefined {
    const quota = this.#reading?.quota;
    return quota !== undefined && quota.readAt + quota.window * 1000 > now ? this.#reading : undefined;
  }

  #left(limit: number, beyond: number, windowMs: number, now: number) {
    const ours = this.#pulls.count(ALL, windowMs, now).total(now);
    return { beyond, windowMs, left: Math.max(0, Math.min(limit, limit - beyond - ours)) };
  }

  /** Returns the time at which `left` pulls are left again, if the pulls of this mirror tell. */
  #until(left: number, { limit, windowMs, beyond }: KnownQuota, now: number): { untilMs?: number } {
    const most = limit - beyond - left;
    return most < 0 ? {} : { untilMs: this.#pulls.count(ALL, windowMs, now).fallsToAt(most, now) };
  }

  #fullAgainAt({ limit, left, windowMs, beyond, readAt }: KnownQuota, now: number): number | null {
    if (left >= limit) return null;
    const ours = this.#pulls.count(ALL, windowMs, now).fallsToAt(0, now);
    return beyond > 0 && readAt !== null ? Math.max(ours, readAt + windowMs) : ours;
  }
}

/** Returns the name under which the counts of an account are stored. A host has no space. */
export function accountKey(upstream: UpstreamHost, account: string): string {
  return `${upstream} ${account}`;
}

/**
 * Returns the account whose counts are stored under a name.
 * @throws if no account has such a name
 */
export function accountIn(owner: string): readonly [upstream: UpstreamHost, account: string] {
  const [host = '', ...account] = owner.split(' ');
  const upstream = parseUpstreamHost(host);
  if (upstream === undefined) throw new Error(`${owner} is no account of an upstream`);
  return [upstream, account.join(' ')];
}

function reported({ source, limit, left, beyond, readAt }: KnownQuota) {
  const elsewhere = source === 'upstream' ? Math.max(0, beyond) : null;
  return { source, limit, left, elsewhere, readAt };
}
