import type { Clock } from '../../platform/clock.ts';
import type { Repository } from '../../registry/repository.ts';
import type { Budgets, PullTaken } from '../budget/budgets.ts';
import { REFUSED_FOR } from '../limits.ts';
import type { Account } from './account.ts';
import type { Quota } from './quota.ts';
import type { Requester } from './requester.ts';
import { ReservedPull } from './reserved-pull.ts';
import type { UpstreamIdentity } from './upstream.ts';
import type { UpstreamAccounts } from './upstream-accounts.ts';
import { overBudget, type UnavailablePull, type UpstreamResult } from './upstream-result.ts';

export type PullBudgets = Pick<Budgets, 'takePull' | 'quotaSeen'>;

/** The pulls that the accounts of one upstream have, and who may take them. */
export class AccountPulls {
  readonly #accounts: UpstreamAccounts;
  readonly #budgets: PullBudgets | undefined;
  readonly #clock: Clock;

  constructor(accounts: UpstreamAccounts, budgets: PullBudgets | undefined, clock: Clock) {
    this.#accounts = accounts;
    this.#budgets = budgets;
    this.#clock = clock;
  }

  /**
   * Takes a pull for the requester, which may be used for a question that follows. It is refused without a
   * question to the upstream if a budget is used up, or if the upstream has just refused another pull.
   */
  reserve({ name, upstream }: Repository, requester: Requester): ReservedPull | UnavailablePull {
    let refusal: UnavailablePull | undefined;
    for (const account of this.#accounts.choose(name, 'account')) {
      const as = account.upstream.credential === undefined ? 'anonymous' : 'account';
      refusal = account.session.refusals.limited({ upstream, as });
      if (refusal !== undefined) continue;
      const taken = this.take(account, as, requester);
      if (taken?.kind === 'unavailable') return taken;
      return new ReservedPull(this.#keyOf(account, as), taken);
    }
    return refusal ?? new ReservedPull('', undefined);
  }

  /** Counts a pull before it is sent, or refuses it. */
  take(
    account: Account,
    as: UpstreamIdentity,
    requester: Requester | undefined,
  ): PullTaken | UnavailablePull | undefined {
    const key = this.#keyOf(account, as);
    const reserved = requester?.takenPull?.use(key);
    const taken = reserved ?? this.#budgets?.takePull(account.upstream.host, key, requester?.spender);
    return taken === undefined || taken.kind === 'taken' ? taken : overBudget(taken, this.#clock());
  }

  /** Records the quota that an answer reports, if it reports one. */
  quotaSeen(account: Account, as: UpstreamIdentity, quota: Quota | undefined): void {
    if (quota === undefined) return;
    account.quota = quota;
    this.#budgets?.quotaSeen(account.upstream.host, this.#keyOf(account, as), quota);
  }

  /** Adds to a refusal by the upstream what is known of its quota. */
  withQuota<T>({ quota }: Account, answer: UpstreamResult<T>): UpstreamResult<T> {
    if (answer.kind !== 'unavailable' || answer.failure.cause !== 'limited') return answer;
    const { retryAfter = REFUSED_FOR.limited / 1000 } = answer.failure;
    const untilMs = this.#clock() + retryAfter * 1000;
    const known = quota && { max: quota.limit, windowMs: quota.window * 1000 };
    const refusal = { kind: 'upstream', unit: 'pulls', ...known, untilMs } as const;
    return { ...answer, failure: { ...answer.failure, retryAfter, quota: refusal } };
  }

  /** Returns the name under which pulls are counted. What is asked without the login has its own quota. */
  #keyOf({ name }: Account, as: UpstreamIdentity): string {
    const hasLogin = this.#accounts.all.some((one) => one.upstream.credential !== undefined);
    return as === 'anonymous' && hasLogin ? 'anonymous' : name;
  }
}
