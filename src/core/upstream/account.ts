import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { CredentialState } from '../../protocol/core-api.ts';
import { type Authorization, createAuthorization } from './authorization.ts';
import { watchCredential } from './live-credential.ts';
import type { Quota } from './quota.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { createTokenCache } from './token-cache.ts';
import type { SendsForToken } from './transport.ts';
import { DEFAULT_ACCOUNT, type UpstreamOptions } from './upstream.ts';
import type { LiveCredential } from './upstream-login.ts';

export interface AccountOptions {
  /** Absent for the only account of an upstream, which needs no name. */
  readonly name?: string;
  /** The upstream with the credential of this account alone. */
  readonly upstream: UpstreamOptions;
  readonly transport: SendsForToken;
  readonly clock: Clock;
  /** The milliseconds for a token. */
  readonly deadline: number;
  readonly log: Logger;
  /** Called when the password has changed. */
  readonly onChange: () => void;
}

/** The knowledge about an upstream with one credential: its tokens, and its refusals. */
export interface Session {
  readonly authorization: Authorization;
  readonly refusals: Refusals;
  /** Called when the upstream has accepted or refused the credential. */
  judged(verdict: 'accepted' | 'refused'): void;
}

/**
 * The current credential for an upstream, and whether the upstream accepts it. A new password begins a new
 * session, so that no token and no refusal of the old one outlives it. A request under way ends in the
 * session that it began in, and its result says nothing about the new password.
 */
export class Account implements Disposable {
  /** The quota that the upstream last reported for it. */
  quota: Quota | undefined;
  readonly #options: AccountOptions;
  readonly #credential: LiveCredential | undefined;
  /** The number of passwords so far. */
  #epoch = 0;
  #session: Session;
  #state: CredentialState;
  /** True if the log reports a refusal, and not yet that it is over. */
  #isRefusalLogged = false;

  constructor(options: AccountOptions) {
    this.#options = options;
    const { credential } = options.upstream;
    const onChange = () => this.#changed();
    this.#credential = credential && watchCredential(credential, { ...options, onChange });
    this.#state = credential === undefined ? 'none' : 'unknown';
    this.#session = this.openSession();
  }

  get name(): string {
    return this.#options.name ?? DEFAULT_ACCOUNT;
  }

  /** True if the configuration gives it a name, because the upstream has several accounts. */
  get isNamed(): boolean {
    return this.#options.name !== undefined;
  }

  /** The upstream with the credential of this account alone. */
  get upstream(): UpstreamOptions {
    return this.#options.upstream;
  }

  /** True while the upstream's refusal of the credential counts. */
  get isRefused(): boolean {
    return this.#session.refusals.isCredentialRefused(this.upstream.host);
  }

  get session(): Session {
    return this.#session;
  }

  get state(): CredentialState {
    return this.#state;
  }

  /** Opens a session without any knowledge, which nobody else uses. */
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

  /** Reads the file of the credential now. */
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
    const { log, upstream, name: account } = this.#options;
    const place = { upstream: upstream.host, ...(account !== undefined && { account }) };
    const before = this.#state;
    this.#state = verdict;
    if (before === verdict || before === 'none') return;
    if (verdict === 'refused') {
      this.#isRefusalLogged = true;
      log.error(place, 'the upstream refuses the credential; what is cached is still served');
    } else if (this.#isRefusalLogged) {
      this.#isRefusalLogged = false;
      // A new session has no refusals, because content that was refused a moment ago may be allowed now.
      this.#session = this.openSession();
      log.info(place, 'the upstream takes the credential again');
    }
  }

  [Symbol.dispose](): void {
    this.#credential?.[Symbol.dispose]();
  }
}
