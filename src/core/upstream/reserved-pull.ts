import type { PullTaken } from '../budget/budgets.ts';

/**
 * A pull that was taken for a requester before it is known whether one must be sent. So nobody is refused
 * after the upstream was asked. If it is not used, it is given back in the end.
 */
export class ReservedPull implements Disposable {
  readonly #account: string;
  #taken: PullTaken | undefined;

  constructor(account: string, taken: PullTaken | undefined) {
    this.#account = account;
    this.#taken = taken;
  }

  /** Hands the pull over, once, if it was taken from this account. */
  use(account: string): PullTaken | undefined {
    return account === this.#account ? this.#release() : undefined;
  }

  #release(): PullTaken | undefined {
    const taken = this.#taken;
    this.#taken = undefined;
    return taken;
  }

  [Symbol.dispose](): void {
    const taken = this.#release();
    taken?.giveBack();
    taken?.[Symbol.dispose]();
  }
}
