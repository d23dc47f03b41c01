import type { Findings } from '../findings.ts';

/** The time after a role is back in which its callers may still fail, in milliseconds. */
const AFTERWARDS = 5_000;
/** The share of requests that may fail without an outage: a busy machine misses a deadline now and then. */
const MOST_FAILURES = 0.005;

interface Outage {
  readonly role: string;
  readonly from: number;
  until: number;
}

/** Knows when roles were killed, so that failures with a cause can be told from those without. */
export class Outages {
  readonly #findings: Findings;
  readonly #outages: Outage[] = [];

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** Records that a role was killed. The caller says when it is back. */
  begin(role: string): () => void {
    const outage: Outage = { role, from: performance.now(), until: Number.POSITIVE_INFINITY };
    this.#outages.push(outage);
    return () => {
      outage.until = performance.now() + AFTERWARDS;
    };
  }

  /** True if a role was away at some moment since `from`. */
  since(from: number, role?: string): boolean {
    return this.#outages.some((one) => one.until >= from && (role === undefined || one.role === role));
  }

  /** Counts a request that failed. */
  failed(what: string, from: number, reason: string): void {
    const isExpected = this.since(from);
    this.#findings.count(`failures ${isExpected ? 'after a kill' : 'without a kill'}: ${reason}`);
    if (isExpected) return;
    this.#findings.count('failures without a kill');
    this.#findings.note(`failed without a kill: ${what}: ${reason}`);
  }

  judge(requests: number): void {
    const failures = this.#findings.counted('failures without a kill');
    if (failures > 5 + requests * MOST_FAILURES)
      this.#findings.anomaly('too many requests failed', `${failures} of ${requests}`);
  }
}
