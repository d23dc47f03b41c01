import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { CredentialState } from '../../registry/core-api.ts';
import { type Authorization, createAuthorization } from './authorization.ts';
import { followCredential, type LiveCredential } from './live-credential.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { createTokenCache } from './token-cache.ts';
import type { SendsForToken } from './transport.ts';
import type { UpstreamOptions } from './upstream.ts';

export interface AccountOptions {
  readonly upstream: UpstreamOptions;
  readonly transport: SendsForToken;
  readonly clock: Clock;
  /** Milliseconds for a token. */
  readonly deadline: number;
  readonly log: Logger;
  /** Called when another password holds. */
  readonly onChange: () => void;
}

/** What was learnt of an upstream with one credential: its tokens, and what it refused. */
export interface Session {
  readonly authorization: Authorization;
  readonly refusals: Refusals;
  /** The upstream took the credential, or refused it. */
  judged(verdict: 'accepted' | 'refused'): void;
}

/**
 * As whom an upstream is asked: its credential as it is now, and whether the upstream takes it. Another password begins
 * another session, so that neither a token of the old one nor a refusal of it outlives it; a request that is under way
 * ends in the session that it began in, and what comes of it is no word on the new password.
 */
export class Account implements Disposable {
  readonly #options: AccountOptions;
  readonly #credential: LiveCredential | undefined;
  /** Passwords so far. */
  #epoch = 0;
  #session: Session;
  #state: CredentialState;
  /** Has the log said that it is refused, and not yet that it is well again? */
  #refusalTold = false;

  constructor(options: AccountOptions) {
    this.#options = options;
    const { credential } = options.upstream;
    const onChange = () => this.#changed();
    this.#credential = credential && followCredential(credential, { ...options, onChange });
    this.#state = credential === undefined ? 'none' : 'unknown';
    this.#session = this.openSession();
  }

  get session(): Session {
    return this.#session;
  }

  get state(): CredentialState {
    return this.#state;
  }

  /** One that knows nothing yet; nobody else uses it. */
  openSession(): Session {
    const { upstream, transport, clock, deadline } = this.#options;
    const epoch = this.#epoch;
    const judged: Session['judged'] = (verdict) => {
      if (epoch === this.#epoch) this.#judge(verdict);
    };
    const tokens = createTokenCache({ transport, clock, deadline });
    const authorization = createAuthorization(upstream, this.#credential, tokens, judged);
    return { authorization, refusals: createRefusals(clock), judged };
  }

  /** Reads the credential's file now. */
  async look(): Promise<void> {
    await this.#credential?.look();
  }

  #changed(): void {
    this.#epoch++;
    this.#state = 'unknown';
    this.#session = this.openSession();
    this.#options.onChange();
  }

  #judge(verdict: 'accepted' | 'refused'): void {
    const { log, upstream } = this.#options;
    const before = this.#state;
    this.#state = verdict;
    if (before === verdict || before === 'none') return;
    if (verdict === 'refused') {
      this.#refusalTold = true;
      log.error(
        { upstream: upstream.host },
        'the upstream refuses the credential; what is cached goes on being served',
      );
    } else if (this.#refusalTold) {
      this.#refusalTold = false;
      // Also what was refused a moment ago is worth asking for now.
      this.#session = this.openSession();
      log.info({ upstream: upstream.host }, 'the upstream takes the credential again');
    }
  }

  [Symbol.dispose](): void {
    this.#credential?.[Symbol.dispose]();
  }
}
