/**
 * Slows down guesses at one name from one network more and more. Nobody is locked out: from elsewhere the
 * name is as quick as before, and a right password is accepted after the wait even from there.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { loginNetwork } from './login-network.ts';

export interface DelayLimits {
  /** The number of wrong passwords without a delay. */
  readonly free: number;
  /** The milliseconds of the first delay. Each further one is twice as long. */
  readonly first: number;
  readonly longest: number;
  /** The milliseconds after the last wrong password until a pair is forgotten. */
  readonly forgottenAfter: number;
  /** The most pairs of a name and a network that are counted. */
  readonly maxCached: number;
  /** The most attempts that wait at a time, in total and for one pair. */
  readonly maxWaiting: number;
  readonly maxWaitingEach: number;
}

/** Resolves after this many milliseconds, and rejects if the signal is aborted before. */
export type Wait = (milliseconds: number, signal: AbortSignal) => Promise<void>;

export const wait: Wait = (milliseconds, signal) => delay(milliseconds, undefined, { signal });

export interface DelaysOptions {
  readonly clock: Clock;
  readonly wait: Wait;
  readonly limits: DelayLimits;
  /** Aborted when auth stops, so that the delays end. */
  readonly stopping: AbortSignal;
}

/** One attempt at a name from an address. */
export interface Attempt {
  readonly username: string;
  readonly address: string;
  /** True if a wrong attempt counts against the pair. */
  readonly counts: boolean;
  /** Aborted when nobody waits for the verdict any more. The check is then not begun. */
  readonly signal?: AbortSignal | undefined;
}

interface Guesses {
  /**
   * The attempts that were wrong or are under way, because attempts that come at the same time must not be
   * free either.
   */
  wrong: number;
  waiting: number;
}

/** The result of an attempt. `unknown` means that it was not judged. */
export type LoginOutcome = 'right' | 'wrong' | 'unknown';

/** An attempt that was judged. Its pair is the hash of a name and a network. */
export interface JudgedAttempt {
  readonly pair: string;
  readonly isRight: boolean;
}

export class LoginDelays {
  readonly #options: DelaysOptions;
  readonly #pairs: ExpiringCache<Guesses>;
  readonly #listeners: ((attempt: JudgedAttempt) => void)[] = [];
  #waiting = 0;

  constructor(options: DelaysOptions) {
    this.#options = options;
    this.#pairs = new ExpiringCache(options.limits.maxCached, options.clock);
  }

  /** The number of attempts whose turn has not come. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Calls `listener` with each attempt that is judged here and counts. */
  onJudged(listener: (attempt: JudgedAttempt) => void): void {
    this.#listeners.push(listener);
  }

  /** Counts an attempt that another node has judged. */
  countElsewhere({ pair: key, isRight }: JudgedAttempt): void {
    const pair = this.#pairs.get(key) ?? { wrong: 0, waiting: 0 };
    if (isRight) this.#forget(key, pair);
    else this.#count(key, pair, 1);
  }

  /** Runs `judge` when it is this attempt's turn. Resolves to undefined if too many wait already. */
  async delayed<T>(
    attempt: Attempt,
    judge: () => Promise<T>,
    outcomeOf: (judged: T) => LoginOutcome,
  ): Promise<T | undefined> {
    const key = keyOf(attempt);
    const pair = this.#pairs.get(key) ?? { wrong: 0, waiting: 0 };
    const milliseconds = delayAfter(pair.wrong, this.#options.limits);
    if (attempt.counts) this.#count(key, pair, 1);
    let outcome: LoginOutcome = 'unknown';
    try {
      if (milliseconds > 0 && !(await this.#wait(pair, milliseconds, attempt.signal))) return undefined;
      const judged = await judge();
      outcome = outcomeOf(judged);
      return judged;
    } finally {
      if (outcome === 'right') this.#forget(key, pair);
      else if (outcome === 'unknown' && attempt.counts) pair.wrong = Math.max(0, pair.wrong - 1);
      if (outcome !== 'unknown' && attempt.counts)
        for (const listener of this.#listeners) listener({ pair: key, isRight: outcome === 'right' });
    }
  }

  #count(key: string, pair: Guesses, by: number): void {
    pair.wrong += by;
    this.#pairs.set(key, pair, this.#options.limits.forgottenAfter);
  }

  #forget(key: string, pair: Guesses): void {
    pair.wrong = 0;
    if (pair.waiting === 0) this.#pairs.delete(key);
  }

  async #wait(pair: Guesses, milliseconds: number, signal?: AbortSignal): Promise<boolean> {
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

/** Returns the delay in milliseconds. */
export function delayAfter(wrong: number, { free, first, longest }: DelayLimits): number {
  return wrong < free ? 0 : Math.min(longest, first * 2 ** (wrong - free));
}

/**
 * Returns a short key, however long the name is. It is a hash, because the name can be a password that was
 * typed into the wrong field.
 */
function keyOf({ username, address }: Attempt): string {
  return createHash('sha256')
    .update(JSON.stringify([username, loginNetwork(address)]))
    .digest('base64');
}
