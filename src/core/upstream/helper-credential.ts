import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { asError } from '../../platform/reason.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import { type HelperOptions, runHelper } from './run-helper.ts';
import type { LiveCredential, UpstreamLogin } from './upstream-login.ts';

export interface HelperCredentialOptions extends HelperOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when the program gives another login than before. */
  readonly onChange: () => void;
}

/**
 * The milliseconds for which a login is used if its end is unknown. A program that has a cache of its own
 * answers quickly.
 */
const USED_FOR = 10 * 60_000;
/** The milliseconds before its end at which a login is replaced. */
const MARGIN = 60_000;
/**
 * The milliseconds between two runs of the program, so that neither a failure nor a refusal runs it for each
 * pull.
 */
const PAUSE = 5_000;

interface Known {
  readonly login: UpstreamLogin;
  /** The time until which the program is not asked for another login. */
  readonly until: number;
  /** The time when the login ends; undefined if it is unknown. */
  readonly end: number | undefined;
}

/**
 * A login that a program gives. The program is asked again when the login ends, or when the upstream refuses
 * it.
 */
export class HelperCredential implements LiveCredential {
  readonly #options: HelperCredentialOptions;
  readonly #running = new SingleFlight<UpstreamLogin>();
  #known: Known | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #failure: Error | undefined;

  constructor(options: HelperCredentialOptions) {
    this.#options = options;
  }

  async login(): Promise<UpstreamLogin> {
    const known = this.#known;
    const now = this.#options.clock();
    if (known !== undefined && now < known.until) return known.login;
    // While the program fails, its last login is still used.
    const isUsable = known !== undefined && (known.end === undefined || now < known.end);
    if (this.#failure !== undefined && this.#isRecent(now)) {
      if (isUsable) return known.login;
      throw this.#failure;
    }
    return isUsable ? this.#ask().catch(() => known.login) : this.#ask();
  }

  /** It is called after a refusal. It asks the program, unless that was done a moment ago. */
  async look(): Promise<void> {
    if (this.#running.isRunning('login') || !this.#isRecent(this.#options.clock()))
      await this.#ask().catch(() => {});
  }

  #isRecent(now: number): boolean {
    return Math.abs(now - this.#askedAt) < PAUSE;
  }

  #ask(): Promise<UpstreamLogin> {
    return this.#running.run('login', async () => {
      const { clock, log, name, onChange } = this.#options;
      try {
        const login = await runHelper(this.#options);
        const before = this.#known?.login;
        const now = clock();
        const end = endOf(login.password);
        const until = end === undefined ? now + USED_FOR : Math.max(now + PAUSE, end - MARGIN);
        this.#known = { login, until, end };
        this.#failure = undefined;
        if (
          before !== undefined &&
          (before.password !== login.password || before.username !== login.username)
        ) {
          log.info({ helper: name }, 'the credential changed');
          onChange();
        }
        return login;
      } catch (error) {
        this.#failure = asError(error);
        log.error({ helper: name, problem: this.#failure.message }, 'the credential helper gives no login');
        throw error;
      } finally {
        this.#askedAt = clock();
      }
    });
  }

  [Symbol.dispose](): void {}
}

/**
 * Returns when a login ends, in milliseconds since the epoch, if it contains that time: ACR's is a JWT; ECR's
 * is JSON in base64 with `expiration`, see https://github.com/CircleCI-Public/aws-ecr-orb/issues/265.
 * Google's does not contain it.
 */
function endOf(secret: string): number | undefined {
  const [, claims] = secret.split('.');
  try {
    const { exp, expiration } = Object(JSON.parse(Buffer.from(claims ?? secret, 'base64').toString('utf8')));
    const seconds = Number(claims === undefined ? expiration : exp);
    return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  } catch {
    return undefined;
  }
}
