import type { CoreLimits } from '../limits.ts';
import type { Trouble } from './answer.ts';

export interface BreakerOptions {
  readonly limits: Pick<CoreLimits, 'breakAfter' | 'breakWithin' | 'probeAfter' | 'probeAtMost'>;
  /** Is the host there again? Asked in the background, so that nobody has to wait for it. */
  readonly probe: () => Promise<boolean>;
  readonly onChange: (trouble: Trouble | undefined) => void;
}

/**
 * Leaves a host alone that fails again and again, so that those who would ask it know at once what the first ones had to
 * wait for. Failures count in a row: what one repository or one slow answer is to blame for does not cut off the others.
 */
export class Breaker implements Disposable {
  readonly #options: BreakerOptions;
  /** Monotonic times. */
  #failures: number[] = [];
  #lastSuccess = Number.NEGATIVE_INFINITY;
  #trouble: Trouble | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Why the host is left alone, where it is. */
  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  succeeded(): void {
    this.#lastSuccess = performance.now();
    this.#failures = [];
    if (this.#trouble === undefined) return;
    clearTimeout(this.#timer);
    this.#trouble = undefined;
    this.#options.onChange(undefined);
  }

  /** `started`: when the failed request was begun, by the monotonic clock. */
  failed(trouble: Trouble, started: number): void {
    const { breakAfter, breakWithin } = this.#options.limits;
    if (this.#trouble !== undefined || this.#lastSuccess > started) return;
    const now = performance.now();
    this.#failures = [...this.#failures.filter((at) => at > now - breakWithin), now];
    if (trouble.cause !== 'timeout' && this.#failures.length < breakAfter) return;
    this.#trouble = { ...trouble, known: true };
    this.#options.onChange(trouble);
    this.#probeIn(this.#options.limits.probeAfter);
  }

  #probeIn(pause: number): void {
    const { limits, probe } = this.#options;
    this.#timer = setTimeout(async () => {
      if (await probe()) this.succeeded();
      else if (this.#trouble !== undefined) this.#probeIn(Math.min(pause * 2, limits.probeAtMost));
    }, pause).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#trouble = undefined;
  }
}
