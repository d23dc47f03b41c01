import type { Clock } from '../../../platform/clock.ts';
import { DIRECTORY_BREAKER } from '../../limits.ts';
import { DirectoryUnavailable } from './directory.ts';

/**
 * Keeps logins from waiting for a directory that has just failed several times. After a pause, one of them
 * tries.
 */
export class DirectoryBreaker {
  readonly #clock: Clock;
  #failures = 0;
  #closedAgainAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws DirectoryUnavailable */
  async run<T>(task: () => Promise<T>): Promise<T> {
    const now = this.#clock();
    const isOpen =
      this.#failures >= DIRECTORY_BREAKER.failures &&
      Math.abs(this.#closedAgainAt - now) <= DIRECTORY_BREAKER.pause &&
      now < this.#closedAgainAt;
    if (isOpen) throw new DirectoryUnavailable('it has not answered a moment ago');
    if (this.#failures >= DIRECTORY_BREAKER.failures) this.#closedAgainAt = now + DIRECTORY_BREAKER.pause;
    try {
      const answer = await task();
      this.#failures = 0;
      return answer;
    } catch (error) {
      if (error instanceof DirectoryUnavailable) {
        this.#failures++;
        this.#closedAgainAt = this.#clock() + DIRECTORY_BREAKER.pause;
      }
      throw error;
    }
  }
}
