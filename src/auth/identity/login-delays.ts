/**
 * Whoever guesses at one name from one network waits longer and longer. Nobody is locked out: from elsewhere the name is as
 * quick as before, and from there too a right password is taken, after the wait.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { loginNetwork } from './login-network.ts';

export interface DelayLimits {
  /** Wrong passwords that cost nothing. */
  readonly free: number;
  /** Milliseconds that the next attempt waits; each further one twice as long as the one before. */
  readonly first: number;
  readonly longest: number;
  /** Milliseconds after the last wrong one. */
  readonly forgottenAfter: number;
  /** Pairs of a name and a network. */
  readonly maxRemembered: number;
  /** Who may wait at a time, in all and for one pair. */
  readonly maxWaiting: number;
  readonly maxWaitingEach: number;
}

export const DELAY_LIMITS: DelayLimits = {
  free: 3,
  first: 250,
  longest: 8_000,
  forgottenAfter: 15 * 60_000,
  maxRemembered: 10_000,
  maxWaiting: 256,
  maxWaitingEach: 4,
};

/** Resolves after so many milliseconds, and rejects where the signal is aborted before. */
export type Wait = (milliseconds: number, signal: AbortSignal) => Promise<void>;

export const wait: Wait = (milliseconds, signal) => delay(milliseconds, undefined, { signal });

export interface DelaysOptions {
  readonly clock: Clock;
  readonly wait: Wait;
  readonly limits: DelayLimits;
  /** Aborted where nobody who waits is to be kept waiting. */
  readonly stopping: AbortSignal;
}

/** One attempt at a name from an address. */
export interface Attempt {
  readonly username: string;
  readonly address: string;
  /** Is it held against the pair where it is wrong? */
  readonly counts: boolean;
  /** Aborted when nobody waits for the verdict any more. The check is then not begun. */
  readonly signal?: AbortSignal | undefined;
}

interface Pair {
  /** Attempts that were wrong, or are under way: those that come all at once are not free either. */
  wrong: number;
  waiting: number;
}

/** Of an attempt: how it ended. `unknown`: it was not judged. */
export type Outcome = 'right' | 'wrong' | 'unknown';

export class LoginDelays {
  readonly #options: DelaysOptions;
  readonly #pairs: ExpiringCache<Pair>;
  #waiting = 0;

  constructor(options: DelaysOptions) {
    this.#options = options;
    this.#pairs = new ExpiringCache(options.limits.maxRemembered, options.clock);
  }

  /** Attempts whose turn has not come. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Runs `judge` when it is this attempt's turn. Undefined: too many wait already. */
  async delayed<T>(
    attempt: Attempt,
    judge: () => Promise<T>,
    outcomeOf: (judged: T) => Outcome,
  ): Promise<T | undefined> {
    const key = keyOf(attempt);
    const pair = this.#pairs.get(key) ?? { wrong: 0, waiting: 0 };
    const milliseconds = delayAfter(pair.wrong, this.#options.limits);
    if (attempt.counts) this.#count(key, pair, 1);
    let outcome: Outcome = 'unknown';
    try {
      if (milliseconds > 0 && !(await this.#wait(pair, milliseconds, attempt.signal))) return undefined;
      const judged = await judge();
      outcome = outcomeOf(judged);
      return judged;
    } finally {
      if (outcome === 'right') this.#forget(key, pair);
      else if (outcome === 'unknown' && attempt.counts) pair.wrong = Math.max(0, pair.wrong - 1);
    }
  }

  #count(key: string, pair: Pair, by: number): void {
    pair.wrong += by;
    this.#pairs.set(key, pair, this.#options.limits.forgottenAfter);
  }

  #forget(key: string, pair: Pair): void {
    pair.wrong = 0;
    if (pair.waiting === 0) this.#pairs.delete(key);
  }

  async #wait(pair: Pair, milliseconds: number, signal?: AbortSignal): Promise<boolean> {
    const { limits, stopping, wait } = this.#options;
    if (this.#waiting >= limits.maxWaiting || pair.waiting >= limits.maxWaitingEach) return false;
    this.#waiting++;
    pair.waiting++;
    try {
      await wait(milliseconds, signal === undefined ? stopping : AbortSignal.any([stopping, signal]));
      return true;
    } catch (error) {
      if (stopping.aborted || signal?.aborted) return false;
      throw error;
    } finally {
      this.#waiting--;
      pair.waiting--;
    }
  }
}

/** Milliseconds. */
export function delayAfter(wrong: number, { free, first, longest }: DelayLimits): number {
  return wrong < free ? 0 : Math.min(longest, first * 2 ** (wrong - free));
}

/** Short, however long the name is; and not the name, which can be a password typed into the wrong field. */
function keyOf({ username, address }: Attempt): string {
  return createHash('sha256')
    .update(JSON.stringify([username, loginNetwork(address)]))
    .digest('base64');
}
