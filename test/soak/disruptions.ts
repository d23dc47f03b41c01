import type { Findings } from './findings.ts';

/** How long after the kill of a role its callers may notice, in milliseconds. */
const AFTER_KILL = 20_000;
/** The share of requests that may fail while the Hub misbehaves and no role was killed. */
const MOST_FAILURES = 0.03;

/**
 * Knows when roles were killed, so that failures can be told apart: those with a cause from those without.
 */
export class Disruptions {
  readonly #findings: Findings;
  #killedAt = Number.NEGATIVE_INFINITY;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  killed(): void {
    this.#killedAt = performance.now();
  }

  get isRecent(): boolean {
    return performance.now() - this.#killedAt < AFTER_KILL;
  }

  judgeFailure(what: string, error: Error): void {
    if (error.name === 'TimeoutError' || error.name === 'AbortError')
      this.#findings.anomaly('a request had no answer within a minute', what);
    const cause = this.isRecent ? 'after a kill' : 'while no role was killed';
    this.#findings.count(`failures ${cause}: ${error.message}`);
    if (!this.isRecent) this.#findings.count('failures without a kill');
  }

  /**
   * Judges the failures of the whole run. The Hub of the soak answers wrongly all the time, so some requests
   * fail.
   */
  judgeRate(requests: number): void {
    const failures = this.#findings.counted('failures without a kill');
    if (failures > requests * MOST_FAILURES)
      this.#findings.anomaly('too many requests failed', `${failures} of ${requests}`);
  }
}
