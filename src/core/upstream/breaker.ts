import type { CoreLimits } from '../limits.ts';
import type { UpstreamFailure } from './upstream-result.ts';

export interface BreakerOptions {
  readonly limits: Pick<CoreLimits, 'breakAfter' | 'breakWithin' | 'probeAfter' | 'probeAtMost'>;
  /**
   * Tells whether the host answers. It asks in the background on its own connection, so that no caller has to
   * wait.
   */
  readonly probe: () => Promise<boolean>;
  readonly onChange: (trouble: UpstreamFailure | undefined) => void;
}

/** One request that failed. */
export interface FailedRequest {
  readonly trouble: UpstreamFailure;
  /** The start of the request, by the monotonic clock. */
  readonly started: number;
  /** The repository, or another cause that may explain the failure without the host. */
  readonly about: string;
}

/**
 * Stops requests to a host that fails repeatedly, so that further callers learn at once what the first ones
 * had to wait for. A failure may concern only the requested repository. So the breaker opens if the host
 * fails for many repositories without a success in between, or if it does not answer a probe, which one
 * suspicious failure can trigger.
 */
export class Breaker implements Disposable {
  readonly #options: BreakerOptions;
  /** The monotonic times of failures, by what failed. */
  readonly #failures = new Map<string, number>();
  #failuresInARow = 0;
  #lastSuccess = Number.NEGATIVE_INFINITY;
  /** The time until which an answered probe outweighs failures, whatever they concern. */
  #vouchedUntil = Number.NEGATIVE_INFINITY;
  #trouble: UpstreamFailure | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isProbing = false;
  #isEnded = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** The reason why the breaker is open; undefined if it is closed. */
  get trouble(): UpstreamFailure | undefined {
    return this.#trouble;
  }

  succeeded(): void {
    this.#lastSuccess = performance.now();
    this.#failures.clear();
    this.#failuresInARow = 0;
    if (this.#trouble === undefined) return;
    clearTimeout(this.#timer);
    this.#trouble = undefined;
    this.#options.onChange(undefined);
  }

  failed({ trouble, started, about }: FailedRequest): void {
    if (this.#trouble !== undefined || this.#lastSuccess > started) return;
    const { breakAfter, breakWithin } = this.#options.limits;
    const now = performance.now();
    for (const [one, at] of this.#failures) if (at <= now - breakWithin) this.#failures.delete(one);
    if (this.#failures.size < breakAfter) this.#failures.set(about, now);
    this.#failuresInARow++;
    if (this.#failures.size >= breakAfter && now > this.#vouchedUntil) this.#open(trouble);
    else if (trouble.cause === 'timeout' || this.#failuresInARow >= breakAfter) void this.#suspect(trouble);
  }

  /** One probe at a time decides whether the host caused the failure. */
  async #suspect(trouble: UpstreamFailure): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    const started = performance.now();
    const isThere = await this.#probe();
    this.#isProbing = false;
    if (isThere) this.#vouch();
    else if (this.#trouble === undefined && this.#lastSuccess < started) this.#open(trouble);
  }

  #open(trouble: UpstreamFailure): void {
    if (this.#isEnded) return;
    this.#trouble = { ...trouble, known: true };
    this.#options.onChange(trouble);
    this.#probeIn(this.#options.limits.probeAfter);
  }

  #probeIn(pause: number): void {
    this.#timer = setTimeout(async () => {
      if (await this.#probe()) this.#vouch();
      else if (this.#trouble !== undefined)
        this.#probeIn(Math.min(pause * 2, this.#options.limits.probeAtMost));
    }, pause).unref();
  }

  async #probe(): Promise<boolean> {
    return !this.#isEnded && (await this.#options.probe());
  }

  #vouch(): void {
    this.#vouchedUntil = performance.now() + this.#options.limits.probeAtMost;
    this.succeeded();
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#trouble = undefined;
  }
}
