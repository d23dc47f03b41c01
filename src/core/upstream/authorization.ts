import { readChallenge } from '../../registry/challenge.ts';
import { type Answer, cannot, yes } from './answer.ts';
import { isRealmAllowed } from './origin-rules.ts';
import type { TokenCache, TokenRequest } from './token-cache.ts';
import { basicAuthorization, type Identity, type UpstreamOptions } from './upstream.ts';

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
  header(scope: string, identity: Identity): Promise<Answer<AuthorizationHeader>>;
  /** After a 401 to a request that carried `refused`: another header to try once, or undefined where the 401 stands. */
  retry(
    challenge: string | undefined,
    scope: string,
    identity: Identity,
    refused: AuthorizationHeader,
  ): Promise<Answer<AuthorizationHeader | undefined>>;
}

export function createAuthorization(upstream: UpstreamOptions, tokens: TokenCache): Authorization {
  return new ChallengeAuthorization(upstream, tokens);
}

class ChallengeAuthorization implements Authorization {
  readonly #upstream: UpstreamOptions;
  readonly #tokens: TokenCache;
  #scheme: Scheme | undefined;

  constructor(upstream: UpstreamOptions, tokens: TokenCache) {
    this.#upstream = upstream;
    this.#tokens = tokens;
  }

  async header(scope: string, identity: Identity): Promise<Answer<AuthorizationHeader>> {
    const scheme = this.#scheme;
    if (scheme === undefined) return yes(NOTHING);
    if (scheme.kind === 'bearer') {
      const answer = await this.#tokens.get(this.#tokenRequest(scheme, scope, identity));
      return answer.kind === 'yes' ? yes({ ...answer.value, value: `Bearer ${answer.value.token}` }) : answer;
    }
    const { credential } = this.#upstream;
    if (credential === undefined || identity === 'anonymous') return yes(NOTHING);
    try {
      return yes({ value: await basicAuthorization(credential), fresh: false });
    } catch (error) {
      return cannot('failed', `the secret file cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
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
    const { credential } = this.#upstream;
    const account =
      credential === undefined || identity === 'anonymous'
        ? undefined
        : { username: credential.username, authorization: () => basicAuthorization(credential) };
    return { realm: scheme.realm, service: scheme.service, scope, account };
  }
}
