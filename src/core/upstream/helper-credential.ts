import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import type { LiveCredential } from './live-credential.ts';
import { type HelperOptions, type Login, runHelper } from './run-helper.ts';

export interface HelperCredentialOptions extends HelperOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when the program gave another login than before. */
  readonly onChange: () => void;
}

/** Milliseconds for which a login is used whose end is not known: a program that caches for itself is quick to ask. */
const USED_FOR = 10 * 60_000;
/** A login is exchanged so long before its end. */
const MARGIN = 60_000;
/** Between two runs of the program: neither a failure nor a refusal has it run for each pull. */
const PAUSE = 5_000;

interface Known {
  readonly login: Login;
  /** Until this time the program is not asked for another one. */
  readonly until: number;
  /** Undefined if it is not known. */
  readonly end: number | undefined;
}

/** A login that a program gives, which is asked again when the login ends, or when the upstream refuses it. */
export class HelperCredential implements LiveCredential {
  readonly #options: HelperCredentialOptions;
  readonly #running = new SingleFlight<Login>();
  #known: Known | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #failure: Error | undefined;

  constructor(options: HelperCredentialOptions) {
    this.#options = options;
  }

  async login(): Promise<Login> {
    const known = this.#known;
    const now = this.#options.clock();
    if (known !== undefined && now < known.until) return known.login;
    // While the program fails, the login that it gave last is as good as it was.
    const isUsable = known !== undefined && (known.end === undefined || now < known.end);
    if (this.#failure !== undefined && this.#isRecent(now)) {
      if (isUsable) return known.login;
      throw this.#failure;
    }
    return isUsable ? this.#ask().catch(() => known.login) : this.#ask();
  }

  /** After a refusal. The program is asked unless it was asked a moment ago. */
  async look(): Promise<void> {
    if (this.#running.isRunning('login') || !this.#isRecent(this.#options.clock()))
      await this.#ask().catch(() => {});
  }

  #isRecent(now: number): boolean {
    return Math.abs(now - this.#askedAt) < PAUSE;
  }

  #ask(): Promise<Login> {
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
        this.#failure = error as Error;
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
 * When a login ends, in milliseconds, if it says so: ACR's is a JWT; ECR's is JSON in base64 with `expiration`, see
 * https://github.com/CircleCI-Public/aws-ecr-orb/issues/265. Google's says nothing.
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
