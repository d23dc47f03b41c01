import type { Clock } from '../../platform/clock.ts';
import type { CredentialState } from '../../protocol/core-api.ts';
import type { RepositoryName, UpstreamHost } from '../../registry/repository.ts';
import { ACCOUNT_KEPT_FOR } from '../limits.ts';
import { Account, type AccountOptions } from './account.ts';
import type { Quota } from './quota.ts';
import type { UpstreamAccount, UpstreamIdentity, UpstreamOptions } from './upstream.ts';

/** Returns the pulls that an account has left; undefined if no quota is known. */
export type PullsLeft = (upstream: UpstreamHost, account: string) => number | undefined;

export interface UpstreamAccountsOptions extends Omit<AccountOptions, 'name' | 'upstream' | 'onChange'> {
  readonly upstream: UpstreamOptions;
  /** Called when the password of an account has changed. */
  readonly onChange: (account: Account) => void;
  /** Absent: what the upstream last reported is left. */
  readonly pullsLeft?: PullsLeft | undefined;
}

/** The knowledge about one account. */
export interface AccountReport {
  readonly name: string;
  /** False for the only account of an upstream, which the configuration does not name. */
  readonly isNamed: boolean;
  readonly credential: CredentialState;
  readonly quota: Quota | undefined;
}

/**
 * The accounts of one upstream. Which of them a repository may be asked with is a matter of the configuration
 * alone: those whose `only` matches it, or else those without `only`. So what was learnt in a repository was
 * learnt with an account that is responsible for it, and no token or content of an account reaches a
 * repository of another.
 */
export class UpstreamAccounts implements Disposable {
  /**
   * The accounts in the order of the configuration. An upstream without a credential has one account, which
   * logs in nowhere.
   */
  readonly all: readonly [Account, ...Account[]];
  readonly #options: UpstreamAccountsOptions;
  readonly #settings: readonly UpstreamAccount[];
  /** Asks without a credential. The only account of an upstream does so too. */
  readonly #anonymous: Account;
  readonly #kept = new Map<string, KeptAccount>();
  readonly #clock: Clock;

  constructor(options: UpstreamAccountsOptions) {
    const { accounts = [], ...upstream } = options.upstream;
    const { credential: _, ...bare } = upstream;
    this.#options = options;
    this.#clock = options.clock;
    this.#settings = accounts;
    const [first, ...others] = accounts;
    const named = ({ name, credential }: UpstreamAccount) => this.#open({ ...bare, credential }, name);
    this.all = first === undefined ? [this.#open(upstream)] : [named(first), ...others.map(named)];
    this.#anonymous = first === undefined ? this.all[0] : this.#open(bare);
  }

  #open(upstream: UpstreamOptions, name?: string): Account {
    const account: Account = new Account({
      ...this.#options,
      upstream,
      ...(name !== undefined && { name }),
      onChange: () => this.#options.onChange(account),
    });
    return account;
  }

  /** Returns the accounts that a request may be sent with, the best first. */
  choose(repository: RepositoryName, as: UpstreamIdentity): readonly [Account, ...Account[]] {
    if (this.#settings.length === 0) return this.all;
    const responsible = as === 'anonymous' ? [] : this.#responsible(repository);
    const [first, ...others] = responsible;
    if (first === undefined) return [this.#anonymous];
    if (others.length === 0) return [first];
    const best = this.#best(responsible) ?? first;
    return [best, ...responsible.filter((one) => one !== best).sort((a, b) => this.#left(b) - this.#left(a))];
  }

  #responsible(repository: RepositoryName): readonly Account[] {
    const accounts = this.all.map((account, index) => ({ account, only: this.#settings[index]?.only }));
    const named = accounts.filter(({ only }) => only?.(repository));
    return (named.length > 0 ? named : accounts.filter(({ only }) => only === undefined)).map(
      ({ account }) => account,
    );
  }

  /** Keeps an account for a while, because tokens are cached for each account. */
  #best(accounts: readonly Account[]): Account | undefined {
    const key = accounts.map(({ name }) => name).join(' ');
    const now = this.#clock();
    const kept = this.#kept.get(key);
    if (
      kept !== undefined &&
      kept.since <= now &&
      now < kept.since + ACCOUNT_KEPT_FOR &&
      this.#isUsable(kept.account)
    )
      return kept.account;
    const usable = accounts.filter((one) => this.#isUsable(one));
    const [first] = usable.length > 0 ? usable : accounts;
    const best = usable.reduce((a, b) => (a !== undefined && this.#left(a) >= this.#left(b) ? a : b), first);
    if (best !== undefined) this.#kept.set(key, { account: best, since: now });
    return best;
  }

  #isUsable(account: Account): boolean {
    return !account.isRefused && this.#left(account) > 0;
  }

  /** An account whose quota nobody knows has as much as anybody wants. */
  #left(account: Account): number {
    const { pullsLeft } = this.#options;
    const left =
      pullsLeft === undefined
        ? this.#reported(account)
        : pullsLeft(this.#options.upstream.host, account.name);
    return left ?? Number.POSITIVE_INFINITY;
  }

  #reported({ quota }: Account): number | undefined {
    if (quota === undefined) return undefined;
    return quota.readAt + quota.window * 1000 > this.#clock() ? quota.remaining : quota.limit;
  }

  get report(): readonly AccountReport[] {
    return this.all.map(({ name, isNamed, state, quota }) => ({ name, isNamed, credential: state, quota }));
  }

  [Symbol.dispose](): void {
    for (const account of this.all) account[Symbol.dispose]();
  }
}

interface KeptAccount {
  readonly account: Account;
  readonly since: number;
}

/** Returns the state of several credentials: one that is refused is what an operator must know of. */
export function worstCredential(accounts: readonly Pick<AccountReport, 'credential'>[]): CredentialState {
  const states: readonly CredentialState[] = ['refused', 'unknown', 'accepted'];
  return states.find((state) => accounts.some(({ credential }) => credential === state)) ?? 'none';
}

/** Returns the quota of the account that has most left. */
export function largestQuota(accounts: readonly Pick<AccountReport, 'quota'>[]): Quota | undefined {
  const quotas = accounts.flatMap(({ quota }) => (quota === undefined ? [] : [quota]));
  return quotas.toSorted((a, b) => b.remaining - a.remaining)[0];
}
