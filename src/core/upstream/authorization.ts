import { readChallenge } from '../../registry/challenge.ts';
import { type Answer, cannot, yes } from './answer.ts';
import type { LiveCredential } from './live-credential.ts';
import { isRealmAllowed } from './origin-rules.ts';
import type { FetchedToken, TokenCache, TokenRequest } from './token-cache.ts';
import type { Identity, UpstreamOptions } from './upstream.ts';

/** The scheme that an upstream challenged with: learnt from its first 401, and used unasked from then on. */
type Scheme =
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service?: string }
  | { readonly kind: 'basic' };

/** What a request carries, or nothing while the upstream has not asked for anything. */
export interface AuthorizationHeader {
  readonly value: string | undefined;
  /** Was its token fetched for this very request? */
  readonly fresh: boolean;
}

const NOTHING: AuthorizationHeader = { value: undefined, fresh: false };

/** Answers one upstream's challenges, as its configured account or anonymously. */
export interface Authorization {
  /** Does the upstream want the credential itself at each request? */
  readonly isBasic: boolean;
  header(scope: string, identity: Identity): Promise<Answer<AuthorizationHeader>>;
  /** After a 401 to a request that carried `refused`: another header to try once, or undefined where the 401 stands. */
  retry(
    challenge: string | undefined,
    scope: string,
    identity: Identity,
    refused: AuthorizationHeader,
  ): Promise<Answer<AuthorizationHeader | undefined>>;
}

/** `judged` is told what the token service makes of the credential. */
export function createAuthorization(
  upstream: UpstreamOptions,
  credential: LiveCredential | undefined,
  tokens: TokenCache,
  judged: (verdict: 'accepted' | 'refused') => void,
): Authorization {
  return new ChallengeAuthorization(upstream, credential, tokens, judged);
}

class ChallengeAuthorization implements Authorization {
  readonly #upstream: UpstreamOptions;
  readonly #credential: LiveCredential | undefined;
  readonly #tokens: TokenCache;
  readonly #judged: (verdict: 'accepted' | 'refused') => void;
  #scheme: Scheme | undefined;

  constructor(
    upstream: UpstreamOptions,
    credential: LiveCredential | undefined,
    tokens: TokenCache,
    judged: (verdict: 'accepted' | 'refused') => void,
  ) {
    this.#upstream = upstream;
    this.#credential = credential;
    this.#tokens = tokens;
    this.#judged = judged;
  }

  get isBasic(): boolean {
    return this.#scheme?.kind === 'basic';
  }

  async header(scope: string, identity: Identity): Promise<Answer<AuthorizationHeader>> {
    const scheme = this.#scheme;
    if (scheme === undefined) return yes(NOTHING);
    if (scheme.kind === 'bearer') {
      const request = this.#tokenRequest(scheme, scope, identity);
      const answer = await this.#tokens.get(request);
      if (request.account !== undefined) this.#judge(answer);
      return answer.kind === 'yes' ? yes({ ...answer.value, value: `Bearer ${answer.value.token}` }) : answer;
    }
    if (this.#credential === undefined || identity === 'anonymous') return yes(NOTHING);
    try {
      return yes({ value: await this.#credential.authorization(), fresh: false });
    } catch (error) {
      return cannot('failed', (error as Error).message);
    }
  }

  /** A token that was there already says nothing new. */
  #judge(answer: Answer<FetchedToken>): void {
    if (answer.kind === 'yes' && answer.value.fresh) this.#judged('accepted');
    if (answer.kind === 'cannot' && answer.trouble.cause === 'credential') this.#judged('refused');
  }

  async retry(
    challenge: string | undefined,
    scope: string,
    identity: Identity,
    refused: AuthorizationHeader,
  ): Promise<Answer<AuthorizationHeader | undefined>> {
    if (refused.fresh) return yes(undefined);
    const learnt = this.#learn(challenge);
    if (learnt.kind !== 'yes') return learnt;
    if (learnt.value.kind === 'bearer' && refused.value !== undefined) {
      this.#tokens.drop(
        this.#tokenRequest(learnt.value, scope, identity),
        refused.value.replace(/^Bearer /, ''),
      );
    }
    const header = await this.header(scope, identity);
    return header.kind === 'yes' && header.value.value === refused.value ? yes(undefined) : header;
  }

  #learn(header: string | undefined): Answer<Scheme> {
    const { host, url } = this.#upstream;
    const challenge = readChallenge(header ?? '');
    if (challenge?.scheme === 'basic') {
      this.#scheme = { kind: 'basic' };
      return yes(this.#scheme);
    }
    const realm = URL.parse(challenge?.parameters.get('realm') ?? '');
    if (realm === null) return cannot('failed', `${host} answers 401 without a challenge that can be met`);
    if (!isRealmAllowed(realm, url))
      return cannot('failed', `${host} names a token service on ${realm.host}, not its own`);
    const service = challenge?.parameters.get('service');
    this.#scheme = { kind: 'bearer', realm, ...(service !== undefined && { service }) };
    return yes(this.#scheme);
  }

  #tokenRequest(scheme: Scheme & { kind: 'bearer' }, scope: string, identity: Identity): TokenRequest {
    const account = identity === 'anonymous' ? undefined : this.#credential;
    return { realm: scheme.realm, service: scheme.service, scope, account };
  }
}
