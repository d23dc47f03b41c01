import { messageOf } from '../../platform/reason.ts';
import { parseChallenge, parseChallenges, type UpstreamChallenge } from '../../registry/challenge.ts';
import { boundScopes } from '../../registry/scope.ts';
import { basicAuthorization } from './live-credential.ts';
import { judgeRealm } from './origin-rules.ts';
import { isIdentityToken } from './run-helper.ts';
import type { FetchedToken, TokenCache, UpstreamTokenRequest } from './token-cache.ts';
import type { OnSend } from './transport.ts';
import type { UpstreamIdentity, UpstreamOptions } from './upstream.ts';
import type { LiveCredential } from './upstream-login.ts';
import {
  ok,
  type UpstreamRefusal,
  type UpstreamResult,
  unavailable,
  unavailableByStatus,
} from './upstream-result.ts';

/**
 * The scheme of the upstream's challenge. It is learnt from a 401, and from then on used without a challenge
 * as long as the upstream's token service answers.
 */
type Scheme = BearerScheme | { readonly kind: 'basic' };

interface BearerScheme {
  readonly kind: 'bearer';
  readonly realm: URL;
  readonly service?: string;
  /** True if the token service is not the upstream's own, so that it is asked anonymously. */
  readonly isElsewhere?: boolean;
}

function isOwn(answer: UpstreamResult<BearerScheme>): boolean {
  return answer.kind === 'ok' && answer.value.isElsewhere !== true;
}

/** The header of a request. It has no value as long as the upstream has not sent a challenge. */
export interface AuthorizationHeader {
  readonly value: string | undefined;
  /** True if its token was fetched for this request. */
  readonly fresh: boolean;
  /**
   * The reason why the request carries no authorization: the known token service could not be asked. The
   * upstream may name another one now.
   */
  readonly unanswered?: { readonly realm: URL; readonly trouble: UpstreamRefusal };
}

const NOTHING: AuthorizationHeader = { value: undefined, fresh: false };

/** The request that needs an authorization header, and the identity with which it is sent. */
export interface AuthorizationQuestion {
  readonly scope: string;
  readonly as: UpstreamIdentity;
  /** It is called before each request to a token service. */
  readonly onSend?: OnSend | undefined;
}

/** The `WWW-Authenticate` headers of a response: none, one, or several. */
export type UpstreamChallenges = string | readonly string[] | undefined;

/** Answers one upstream's challenges, as its configured account or anonymously. */
export interface Authorization {
  /** True if the upstream wants the credential itself with each request. */
  readonly isBasic: boolean;
  header(question: AuthorizationQuestion): Promise<UpstreamResult<AuthorizationHeader>>;
  /**
   * Returns another header to try once after a 401 to a request that carried `refused`; undefined if the 401
   * is final.
   */
  retry(
    challenge: UpstreamChallenges,
    question: AuthorizationQuestion,
    refused: AuthorizationHeader,
  ): Promise<UpstreamResult<AuthorizationHeader | undefined>>;
  /**
   * Returns the failure if a 401 concerns only the token. By RFC 6750 §3.1 only `insufficient_scope`, or no
   * error at all, concerns the requested content. A registry that does not accept a new token yet says
   * nothing about a repository.
   */
  tokenTrouble(challenge: UpstreamChallenges, refused: AuthorizationHeader): UpstreamRefusal | undefined;
  /**
   * Returns the header with an anonymous token after a 401 of a registry that a redirect leads to; undefined
   * if there is none. The credential is not for that registry.
   */
  headerElsewhere(challenges: UpstreamChallenges, onSend?: OnSend): Promise<string | undefined>;
}

/** `judged` is called with the token service's verdict on the credential. */
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

  async header(question: AuthorizationQuestion): Promise<UpstreamResult<AuthorizationHeader>> {
    const scheme = this.#scheme;
    if (scheme === undefined) return ok(NOTHING);
    const answer = await this.#headerOf(scheme, question);
    if (scheme.kind === 'basic' || answer.kind === 'ok' || !isUnanswered(answer)) return answer;
    if (this.#scheme === scheme) this.#scheme = undefined;
    return ok({ ...NOTHING, unanswered: { realm: scheme.realm, trouble: answer } });
  }

  async #headerOf(
    scheme: Scheme,
    question: AuthorizationQuestion,
  ): Promise<UpstreamResult<AuthorizationHeader>> {
    if (scheme.kind === 'bearer') {
      const request = this.#tokenRequest(scheme, question);
      const answer = await this.#tokens.get(request);
      if (request.account !== undefined) this.#judge(answer);
      return answer.kind === 'ok' ? ok({ ...answer.value, value: `Bearer ${answer.value.token}` }) : answer;
    }
    if (this.#credential === undefined || question.as === 'anonymous') return ok(NOTHING);
    try {
      const login = await this.#credential.login();
      if (!isIdentityToken(login)) return ok({ value: basicAuthorization(login), fresh: false });
      return unavailable(
        'failed',
        `${this.#upstream.host} wants Basic, for which an identity token is no login`,
      );
    } catch (error) {
      return unavailable('failed', messageOf(error));
    }
  }

  /** A cached token is not a new verdict. */
  #judge(answer: UpstreamResult<FetchedToken>): void {
    if (answer.kind === 'ok' && answer.value.fresh) this.#judged('accepted');
    if (answer.kind === 'unavailable' && answer.failure.cause === 'credential') this.#judged('refused');
  }

  async retry(
    challenge: UpstreamChallenges,
    question: AuthorizationQuestion,
    refused: AuthorizationHeader,
  ): Promise<UpstreamResult<AuthorizationHeader | undefined>> {
    const trouble = this.tokenTrouble(challenge, refused);
    if (refused.fresh && trouble === undefined) return ok(undefined);
    const named = this.#schemeIn(challenge, refused, question.as);
    if (named.kind !== 'ok') return named;
    const scheme = named.value;
    if (scheme.kind === 'bearer' && scheme.realm.href === refused.unanswered?.realm.href)
      return refused.unanswered.trouble;
    if (scheme.kind === 'bearer' && refused.value !== undefined)
      this.#tokens.drop(this.#tokenRequest(scheme, question), refused.value.replace(/^Bearer /, ''));
    const header = await this.#headerOf(scheme, question);
    // An unusual challenge must not replace a token service that answers with one that does not.
    if (header.kind === 'ok' || !isUnanswered(header)) this.#scheme = scheme;
    const isSame = header.kind === 'ok' && header.value.value === refused.value;
    return isSame ? (trouble ?? ok(undefined)) : header;
  }

  tokenTrouble(challenge: UpstreamChallenges, { value }: AuthorizationHeader): UpstreamRefusal | undefined {
    const error = parseChallenge(challenge ?? '')?.parameters.get('error');
    if (error === undefined || error === 'insufficient_scope' || value?.startsWith('Bearer ') !== true)
      return undefined;
    const { host } = this.#upstream;
    const name = error === 'invalid_token' ? error : 'an error that is not about the repository';
    return unavailable('failed', `${host} refuses a token of its own token service: ${name}`);
  }

  async headerElsewhere(challenges: UpstreamChallenges, onSend?: OnSend): Promise<string | undefined> {
    const read = parseChallenge(challenges ?? '');
    const realm = URL.parse(read?.parameters.get('realm') ?? '');
    if (read?.scheme !== 'bearer' || realm === null) return undefined;
    const { credential: _, ...anonymous } = this.#upstream;
    if (typeof judgeRealm(realm, anonymous) === 'object') return undefined;
    const service = read.parameters.get('service');
    // That registry decides the name of the repository.
    const [scope = ''] = boundScopes([read.parameters.get('scope') ?? '']);
    const request = { realm, service, scope, account: undefined, isElsewhere: true, onSend };
    const answer = await this.#tokens.get(request);
    return answer.kind === 'ok' ? `Bearer ${answer.value.token}` : undefined;
  }

  /**
   * Returns the scheme of the best challenge that can be met. A 401 without a challenge, to a request that
   * met one, changes nothing.
   */
  #schemeIn(
    headers: UpstreamChallenges,
    { value }: AuthorizationHeader,
    identity: UpstreamIdentity,
  ): UpstreamResult<Scheme> {
    if (headers === undefined && value !== undefined && this.#scheme !== undefined) return ok(this.#scheme);
    const challenges = parseChallenges(headers ?? '');
    const bearers = challenges.filter(({ scheme }) => scheme === 'bearer').map((one) => this.#bearerIn(one));
    const bearer = bearers.find(isOwn) ?? bearers.find(({ kind }) => kind === 'ok') ?? bearers[0];
    const offersBasic = challenges.some(({ scheme }) => scheme === 'basic');
    const mayBeBasic = bearer === undefined || (this.#credential !== undefined && identity === 'account');
    if (bearer?.kind !== 'ok' && offersBasic && mayBeBasic) return ok({ kind: 'basic' });
    return bearer ?? this.#unmet();
  }

  #bearerIn({ parameters }: UpstreamChallenge): UpstreamResult<BearerScheme> {
    const { host } = this.#upstream;
    const realm = URL.parse(parameters.get('realm') ?? '');
    if (realm === null) return this.#unmet();
    const verdict = judgeRealm(realm, this.#upstream);
    if (typeof verdict === 'object') return unavailable('failed', `${host} ${verdict.refused}`);
    const service = parameters.get('service');
    return ok({
      kind: 'bearer',
      realm,
      ...(service !== undefined && { service }),
      ...(verdict === 'elsewhere' && { isElsewhere: true }),
    });
  }

  #unmet(): UpstreamResult<never> {
    return unavailableByStatus(401, `${this.#upstream.host} answers 401 without a challenge that can be met`);
  }

  #tokenRequest(scheme: BearerScheme, { scope, as, onSend }: AuthorizationQuestion): UpstreamTokenRequest {
    const account = as === 'anonymous' ? undefined : this.#credential;
    const { realm, service, isElsewhere = false } = scheme;
    return { realm, service, scope, account, isElsewhere, onSend };
  }
}

/**
 * True if the token service gives no answer, so that another one may have replaced it. A refusal is an
 * answer.
 */
function isUnanswered(answer: UpstreamRefusal): boolean {
  return answer.kind === 'unavailable' && !['credential', 'limited'].includes(answer.failure.cause);
}
