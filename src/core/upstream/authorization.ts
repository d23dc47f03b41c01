import type { Clock } from '../../platform/clock.ts';
import { readChallenge } from '../../registry/challenge.ts';
import { type Answer, cannot, yes } from './answer.ts';
import { isRealmAllowed } from './origin-rules.ts';
import { createTokenCache, type TokenCache, type TokenRequest } from './token-cache.ts';
import type { Transport } from './transport.ts';
import { basicAuthorization, type Identity, type UpstreamOptions } from './upstream.ts';

/** The scheme that an upstream challenged with: learnt from its first 401, and used unasked from then on. */
type Scheme =
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service?: string }
  | { readonly kind: 'basic' };

/** Answers one upstream's challenges, as its configured account or anonymously. */
export interface Authorization {
  /** The header for a request, or undefined while the upstream has not asked for one. */
  header(scope: string, identity: Identity): Promise<Answer<string | undefined>>;
  /**
   * After a 401 to a request that carried `refused`: another header to try once, or undefined where there is none and
   * the 401 stands.
   */
  retry(
    challenge: string | undefined,
    scope: string,
    identity: Identity,
    refused: string | undefined,
  ): Promise<Answer<string | undefined>>;
}

export function createAuthorization(
  upstream: UpstreamOptions,
  transport: Transport,
  clock: Clock,
): Authorization {
  return new ChallengeAuthorization(upstream, createTokenCache(transport, clock));
}

class ChallengeAuthorization implements Authorization {
  readonly #upstream: UpstreamOptions;
  readonly #tokens: TokenCache;
  #scheme: Scheme | undefined;

  constructor(upstream: UpstreamOptions, tokens: TokenCache) {
    this.#upstream = upstream;
    this.#tokens = tokens;
  }

  async header(scope: string, identity: Identity): Promise<Answer<string | undefined>> {
    const scheme = this.#scheme;
    if (scheme === undefined) return yes(undefined);
    if (scheme.kind === 'bearer') {
      const token = await this.#tokens.get(this.#tokenRequest(scheme, scope, identity));
      return token.kind === 'yes' ? yes(`Bearer ${token.value}`) : token;
    }
    const { credential } = this.#upstream;
    if (credential === undefined || identity === 'anonymous') return yes(undefined);
    try {
      return yes(await basicAuthorization(credential));
    } catch (error) {
      return cannot('credential', `the secret file cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  async retry(
    challenge: string | undefined,
    scope: string,
    identity: Identity,
    refused: string | undefined,
  ): Promise<Answer<string | undefined>> {
    const learnt = this.#learn(challenge);
    if (learnt.kind !== 'yes') return learnt;
    if (learnt.value.kind === 'bearer' && refused !== undefined) {
      this.#tokens.drop(this.#tokenRequest(learnt.value, scope, identity), refused.replace(/^Bearer /, ''));
    }
    const header = await this.header(scope, identity);
    return header.kind === 'yes' && header.value === refused ? yes(undefined) : header;
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
    const { credential } = this.#upstream;
    const account =
      credential === undefined || identity === 'anonymous'
        ? undefined
        : { username: credential.username, authorization: () => basicAuthorization(credential) };
    return { realm: scheme.realm, service: scheme.service, scope, account };
  }
}
