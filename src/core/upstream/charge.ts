import type { PullTaken } from '../budget/budgets.ts';
import type { Requester } from './requester.ts';
import type { OnSend } from './transport.ts';
import type { UpstreamResult } from './upstream-result.ts';

/**
 * The cost of one question to an upstream: the requests that are sent for it, and the pull that was taken
 * before the first of them. At its end the pull counts, unless the upstream was not asked or turned the
 * question away.
 */
export class Charge implements Disposable {
  readonly #requester: Requester | undefined;
  readonly #pull: PullTaken | undefined;
  #isSent = false;
  #isTurnedAway = false;

  constructor(requester: Requester | undefined, pull: PullTaken | undefined) {
    this.#requester = requester;
    this.#pull = pull;
  }

  /** True if the upstream itself was asked, and not only its token service. */
  get isSent(): boolean {
    return this.#isSent;
  }

  readonly onSend: OnSend = ({ isForToken }) => {
    this.#requester?.cost.addRequest();
    if (isForToken !== true) this.#isSent = true;
  };

  /** Records the answer. Without one, what was sent counts. */
  answered(answer: UpstreamResult<unknown>): void {
    this.#isTurnedAway = isTurnedAway(answer);
  }

  [Symbol.dispose](): void {
    if (this.#pull === undefined) return;
    if (this.#isSent && !this.#isTurnedAway) this.#requester?.cost.addPull();
    else this.#pull.giveBack();
    this.#pull[Symbol.dispose]();
  }
}

/** True if the upstream has turned the question away before it was a pull. A failure may have been one. */
function isTurnedAway(answer: UpstreamResult<unknown>): boolean {
  if (answer.kind === 'denied') return answer.reason === 'unauthorized';
  return answer.kind === 'unavailable' && ['limited', 'credential'].includes(answer.failure.cause);
}
