/**
 * Decides who may still use the quota of an upstream. It counts every pull that is sent upstream, by account,
 * by subject and by limit, and decides in memory and at once, so that no other pull comes between a decision
 * and its count. It knows no users and no policy: the gateway says what may be spent. What is free, such as
 * cached content, never asks here.
 *
 * The rules, in their order:
 *
 * 1. Each limit must have something left.
 * 2. If all that is left is reserved, only those may pull for whom it is reserved.
 * 3. If more than half of the quota is left, the pull is allowed.
 * 4. Otherwise a subject that has used its fair share waits as long as another one wants the quota
 *    (`fair-share.ts`).
 *
 * Without a known quota there is no reserve and no share, and what is not known never refuses anybody. See
 * docs/decisions/0012.
 */
import { existsSync } from 'node:fs';
import type { Clock } from '../../platform/clock.ts';
import { diskFailure } from '../../platform/disk-failure.ts';
import type { Logger } from '../../platform/log.ts';
import { messageOf } from '../../platform/reason.ts';
import type { BudgetReport, UsedBudgets } from '../../protocol/budget-report.ts';
import type { QuotaRefusal } from '../../protocol/core-api.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import type { SharedCounts } from '../cluster/shared-counts.ts';
import { BUDGET } from '../limits.ts';
import type { Quota } from '../upstream/quota.ts';
import type { StatedQuota } from '../upstream/upstream.ts';
import { AccountQuota, accountIn, accountKey } from './account-quota.ts';
import { BudgetFile } from './budget-file.ts';
import type { CountTable, StoredCount } from './count-table.ts';
import { LimitTables } from './limit-counts.ts';
import type { Spender } from './spender.ts';

/** A pull that was counted. Disposing of it says that the upstream has answered, or that it never will. */
export interface PullTaken extends Disposable {
  readonly kind: 'taken';
  /** Takes the pull back, because no request was sent. */
  giveBack(): void;
}

export interface Budgets extends AsyncDisposable {
  /** Counts a pull before it is sent upstream, or refuses it. One without a spender is never refused. */
  takePull(upstream: UpstreamHost, account: string, spender: Spender | undefined): PullTaken | QuotaRefusal;
  /** Returns why a download must not begin. */
  mayDownload(spender: Spender): QuotaRefusal | undefined;
  /** Counts bytes of a download as they arrive. They are counted even if they are more than is allowed. */
  chargeBytes(spender: Spender, bytes: number): void;
  /** Records that the upstream has named the quota of an account, in an answer of any kind. */
  quotaSeen(upstream: UpstreamHost, account: string, quota: Quota): void;
  /** Returns the pulls that are left; undefined if no quota is known. */
  left(upstream: UpstreamHost, account: string): number | undefined;
  /** Returns the stated quota with what is left of it, if the upstream itself names none. */
  statedQuota(upstream: UpstreamHost, account: string): Quota | undefined;
  report(): BudgetReport;
  /** Returns how much of each budget is used. */
  used(budgets: Spender['budgets']): UsedBudgets;
  /** Writes what has changed. It also happens by itself, within a second, and at the end. */
  flush(): void;
}

export interface BudgetsOptions {
  readonly file: string;
  /** The quota that the configuration states for each account of an upstream. */
  readonly stated?: ReadonlyMap<UpstreamHost, StatedQuota>;
  readonly clock: Clock;
  /** The counts of the other nodes of a cluster; absent if there are none. */
  readonly shared?: SharedCounts | undefined;
  readonly log: Logger;
}

/** Opens the counts. If they cannot be read, no limit applies, and `report` says so. */
export function openBudgets(options: BudgetsOptions): Budgets {
  return new CountedBudgets(options);
}

const NOBODY: Spender = { subjectKey: '', budgets: [], reserved: { share: 0, ids: [] } };

class CountedBudgets implements Budgets {
  readonly #options: BudgetsOptions;
  readonly #clock: Clock;
  readonly #accounts = new Map<string, AccountQuota>();
  readonly #pulls: LimitTables;
  readonly #bytes: LimitTables;
  /** The number of refusals by each reserve since the start. */
  readonly #reserves = new Map<string, number>();
  #file: BudgetFile | undefined;
  /** The reason why the counts cannot be read. */
  #failure: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isWriteFailing = false;
  #forgetAt = 0;

  constructor(options: BudgetsOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#pulls = new LimitTables('pulls', this.#writeSoon);
    this.#bytes = new LimitTables('bytes', this.#writeSoon);
    this.#load();
    options.shared?.follow({
      counted: (node, row) => this.#countedElsewhere(node, row),
      read: (owner, reading) => this.#account(...accountIn(owner)).takeReadingOf(reading),
    });
  }

  takePull(upstream: UpstreamHost, account: string, spender: Spender = NOBODY): PullTaken | QuotaRefusal {
    const now = this.#clock();
    const quota = this.#account(upstream, account);
    const { subjectKey, budgets } = spender;
    const charge = this.#pulls.charge(budgets, now);
    const isFree = spender === NOBODY || this.#failure !== null;
    const refusal = isFree ? undefined : (charge.refusal(now) ?? this.#refusal(quota, spender, now));
    if (refusal !== undefined) return refusal;
    charge.add(1, now);
    const number = quota.take(subjectKey, now);
    return {
      kind: 'taken',
      giveBack: () => {
        if (quota.takeBack(number, subjectKey, now)) charge.takeBack(1, now);
      },
      [Symbol.dispose]: () => quota.answered(number),
    };
  }

  mayDownload({ budgets }: Spender): QuotaRefusal | undefined {
    if (this.#failure !== null) return undefined;
    const now = this.#clock();
    return this.#bytes.charge(budgets, now).refusal(now);
  }

  chargeBytes({ budgets }: Spender, bytes: number): void {
    if (budgets.length === 0) return;
    const now = this.#clock();
    this.#bytes.charge(budgets, now).add(bytes, now);
  }

  quotaSeen(upstream: UpstreamHost, account: string, quota: Quota): void {
    this.#account(upstream, account).recordReading(quota, this.#clock());
  }

  left(upstream: UpstreamHost, account: string): number | undefined {
    return this.#account(upstream, account).quota(this.#clock())?.left;
  }

  statedQuota(upstream: UpstreamHost, account: string): Quota | undefined {
    const now = this.#clock();
    const quota = this.#account(upstream, account).quota(now);
    if (quota?.source !== 'stated') return undefined;
    const { limit, left: remaining, windowMs } = quota;
    return { limit, remaining, window: windowMs / 1000, readAt: now };
  }

  report(): BudgetReport {
    const now = this.#clock();
    return {
      failure: this.#failure,
      accounts: Array.from(this.#accounts.values(), (account) => account.report(now)),
      limits: [...this.#pulls.report(now), ...this.#bytes.report(now)],
      reserves: Array.from(this.#reserves, ([id, refusals]) => ({ id, refusals })),
    };
  }

  used(budgets: Spender['budgets']): UsedBudgets {
    const now = this.#clock();
    return [...this.#pulls.used(budgets, now), ...this.#bytes.used(budgets, now)];
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#forget();
    try {
      this.#write();
      if (this.#isWriteFailing) this.#options.log.info('the counts of pulls can be written again');
      this.#isWriteFailing = false;
    } catch (error) {
      if (!this.#isWriteFailing)
        this.#options.log.error(
          { file: this.#options.file, err: error },
          'the counts of pulls cannot be written, and would be lost at a restart',
        );
      this.#isWriteFailing = true;
      this.#writeSoon();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.flush();
    clearTimeout(this.#timer);
    this.#file?.[Symbol.dispose]();
  }

  #refusal(quota: AccountQuota, spender: Spender, now: number): QuotaRefusal | undefined {
    const { subjectKey, reserved } = spender;
    for (const id of reserved.ids) if (!this.#reserves.has(id)) this.#reserves.set(id, 0);
    const refusal = quota.refusal(subjectKey, reserved, now);
    if (refusal?.kind === 'reserve')
      for (const id of reserved.ids) this.#reserves.set(id, (this.#reserves.get(id) ?? 0) + 1);
    return refusal;
  }

  #account(upstream: UpstreamHost, account: string): AccountQuota {
    const owner = accountKey(upstream, account);
    const known = this.#accounts.get(owner);
    if (known !== undefined) return known;
    const stated = this.#options.stated?.get(upstream);
    const opened = new AccountQuota(upstream, account, stated, this.#writeSoon);
    this.#accounts.set(owner, opened);
    return opened;
  }

  #load(): void {
    const { file, log } = this.#options;
    const isNew = !existsSync(file);
    try {
      this.#file = new BudgetFile(file);
      const now = this.#clock();
      for (const { owner, reading } of this.#file.readings())
        this.#account(...accountIn(owner)).load(reading);
      for (const row of this.#file.counts()) this.#loadCount(row, now);
      if (isNew) log.info({ file }, 'there are no counts of pulls yet; they begin at 0');
    } catch (error) {
      this.#file?.[Symbol.dispose]();
      this.#file = undefined;
      this.#notLoaded(error, isNew);
    }
  }

  #notLoaded(error: unknown, isNew: boolean): void {
    const { file, log } = this.#options;
    const reason = diskFailure(file, error) ?? (isNew ? messageOf(error) : undefined);
    if (reason !== undefined) {
      this.#isWriteFailing = true;
      log.error({ file, err: error }, `the counts of pulls begin at 0 and are kept in memory: ${reason}`);
      return;
    }
    this.#accounts.clear();
    this.#failure = `${file} cannot be read: ${messageOf(error)}`;
    log.error(
      { file, err: error },
      'the counts of pulls cannot be read, so no limit and no reserve applies; move the file away and restart the core',
    );
  }

  #loadCount(row: StoredCount, now: number): void {
    const { kind, owner } = row;
    if (kind === 'limit-pulls') this.#pulls.tableOf(owner).load(row);
    else if (kind === 'limit-bytes') this.#bytes.tableOf(owner).load(row);
    else this.#account(...accountIn(owner)).loadCount(row, now);
  }

  #countedElsewhere(node: string, row: StoredCount): void {
    const { kind, owner } = row;
    const now = this.#clock();
    if (kind === 'limit-pulls') this.#pulls.tableOf(owner).loadElsewhere(node, row, now);
    else if (kind === 'limit-bytes') this.#bytes.tableOf(owner).loadElsewhere(node, row, now);
    else this.#account(...accountIn(owner)).loadElsewhere(node, row, now);
  }

  #write(): void {
    const tables = [...this.#accounts.values()].flatMap((account) => account.tables);
    const all: readonly CountTable[] = [...tables, ...this.#pulls.tables, ...this.#bytes.tables];
    const counts = all.flatMap((table) => table.changes());
    const readings = Array.from(this.#accounts).flatMap(([owner, { newReading: reading }]) =>
      reading === undefined ? [] : [{ owner, reading }],
    );
    if (counts.length + readings.length === 0) return;
    // A file that cannot be read stays as it is.
    if (this.#failure === null) {
      this.#file ??= new BudgetFile(this.#options.file);
      this.#file.write(counts, readings);
    }
    this.#options.shared?.put(counts, readings);
    for (const table of all) table.stored();
    for (const account of this.#accounts.values()) account.stored();
  }

  /** Forgets from time to time what no longer counts. */
  #forget(): void {
    const now = this.#clock();
    if (now < this.#forgetAt && now > this.#forgetAt - BUDGET.forgetEvery) return;
    this.#forgetAt = now + BUDGET.forgetEvery;
    this.#pulls.forget(now);
    this.#bytes.forget(now);
  }

  /** The timer exists only while something has changed, so that an idle core is not woken. */
  readonly #writeSoon = (): void => {
    this.#timer ??= setTimeout(() => this.flush(), BUDGET.writeAfter).unref();
  };
}
