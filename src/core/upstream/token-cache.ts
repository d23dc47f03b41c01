import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { readBody } from '../../platform/read-body.ts';
import { messageOf } from '../../platform/reason.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import { TOKEN_USED_FOR } from '../limits.ts';
import { decodeContent } from './decode-content.ts';
import { basicAuthorization } from './live-credential.ts';
import { parseRetryAfter } from './quota.ts';
import { isRefusalOfTokenService } from './registry-refusal.ts';
import { isIdentityToken } from './run-helper.ts';
import { discard, type OnSend, type SendsForToken, type UpstreamRequest } from './transport.ts';
import { isCut, troubleOf } from './transport-failure.ts';
import type { LiveCredential, UpstreamLogin } from './upstream-login.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import { denied, ok, type UpstreamResult, unavailable } from './upstream-result.ts';

/** A request for a token. The properties of the token are also its key in the cache. */
export interface UpstreamTokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string;
  /**
   * True if the realm is not the upstream's own. Then it is asked only at an address to which a redirect may
   * lead.
   */
  readonly isElsewhere?: boolean;
  /** Undefined for an anonymous token. */
  readonly account: Pick<LiveCredential, 'login'> | undefined;
  /** Called before each request that is sent for it. It is no part of the key. */
  readonly onSend?: OnSend | undefined;
}

export interface TokenCache {
  get(request: UpstreamTokenRequest): Promise<UpstreamResult<FetchedToken>>;
  /** Called after the upstream refused `token`. The next `get` fetches another one. */
  drop(request: UpstreamTokenRequest, token: string): void;
}

export interface FetchedToken {
  readonly token: string;
  /** True if it was fetched for this call. Then another one would not be better. */
  readonly fresh: boolean;
}

const MAX_BODY = 64 * 1024;
/** The lifetime in seconds if there is no `expires_in`, by the token specification. */
const DEFAULT_LIFETIME = 60;
/** A token of the Hub has some 3 KB. */
const MAX_TOKENS = 2_000;

export interface TokenCacheOptions {
  readonly transport: SendsForToken;
  readonly clock: Clock;
  /**
   * The milliseconds for a token. It has a bound of its own, because callers that wait for the same token may
   * have more time left.
   */
  readonly deadline: number;
}

/**
 * Caches tokens of upstreams' token services. It sends one request for all callers that ask at the same time,
 * and renews a token at 80 % of its lifetime.
 */
export function createTokenCache({ transport, clock, deadline }: TokenCacheOptions): TokenCache {
  const tokens = new ExpiringCache<{ readonly token: string }>(MAX_TOKENS, clock);
  const fetching = new SingleFlight<UpstreamResult<FetchedToken>>();
  return {
    async get(request) {
      const key = keyOf(request);
      const cached = tokens.get(key);
      if (cached !== undefined) return ok({ token: cached.token, fresh: false });
      return fetching.run(key, async () => {
        using bound = new Deadline(deadline);
        const fetched = await fetchToken(transport, request, clock, bound.signal);
        if (fetched.kind !== 'ok') return fetched;
        tokens.set(key, fetched.value, fetched.value.lifetime * 1000 * TOKEN_USED_FOR);
        return ok({ token: fetched.value.token, fresh: true });
      });
    },
    drop(request, token) {
      const key = keyOf(request);
      if (tokens.get(key)?.token === token) tokens.delete(key);
    },
  };
}

function keyOf({ realm, service, scope, account }: UpstreamTokenRequest): string {
  return JSON.stringify([realm.href, service, scope, account !== undefined]);
}

interface IssuedUpstreamToken {
  readonly token: string;
  /** The time in seconds. */
  readonly lifetime: number;
}

async function fetchToken(
  transport: SendsForToken,
  request: UpstreamTokenRequest,
  clock: Clock,
  signal: AbortSignal,
  { fresh }: Pick<UpstreamRequest, 'fresh'> = {},
): Promise<UpstreamResult<IssuedUpstreamToken>> {
  const { realm, scope, account, isElsewhere, onSend } = request;
  let login: UpstreamLogin | undefined;
  try {
    login = await account?.login();
  } catch (error) {
    return unavailable('failed', messageOf(error));
  }
  const sent = {
    ...questionFor(request, login),
    about: scope,
    signal,
    ...(fresh && { fresh }),
    ...(isElsewhere && { isElsewhere }),
    onSend,
  };
  const answer = await transport.send(sent);
  if (answer.kind !== 'ok') return answer;
  try {
    return await readToken(decodeContent(answer.value, 'GET'), realm, account !== undefined, clock());
  } catch (error) {
    return isCut(error) && fresh !== true && !signal.aborted
      ? fetchToken(transport, request, clock, signal, { fresh: true })
      : troubleOf(error, realm.host);
  }
}

type TokenQuestion = Pick<UpstreamRequest, 'method' | 'url' | 'headers' | 'body'>;

/** Returns the token specification's GET; with an identity token its OAuth 2.0 form. */
function questionFor(
  { realm, service, scope }: UpstreamTokenRequest,
  login: UpstreamLogin | undefined,
): TokenQuestion {
  const parameters = {
    ...(service !== undefined && { service }),
    ...(scope !== '' && { scope }),
    client_id: 'hubgate',
  };
  if (login !== undefined && isIdentityToken(login)) {
    const form = { grant_type: 'refresh_token', ...parameters, refresh_token: login.password };
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url: realm, headers, body: new URLSearchParams(form).toString() };
  }
  const url = new URL(realm);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  if (login === undefined) return { method: 'GET', url, headers: {} };
  url.searchParams.set('account', login.username);
  return { method: 'GET', url, headers: { authorization: basicAuthorization(login) } };
}

/** @throws if the body breaks off or takes longer than the deadline. */
async function readToken(
  response: UpstreamResponse,
  realm: URL,
  asAccount: boolean,
  now: number,
): Promise<UpstreamResult<IssuedUpstreamToken>> {
  const { statusCode: status, headers } = response;
  if (status !== 200) {
    const isRefusal = (status === 401 || status === 403) && (await isRefusalOfTokenService(response));
    discard(response);
    if (status === 401 && asAccount)
      return unavailable('credential', `${realm.host} refuses the configured credential`);
    if (isRefusal) return denied('unauthorized');
    if (status === 429)
      return unavailable('limited', `${realm.host}: 429`, parseRetryAfter(headers['retry-after'], now));
    return unavailable('failed', `${realm.host}: ${status}`);
  }
  const body = await readBody(response.body, MAX_BODY);
  const token = parseToken(body);
  return token === undefined
    ? unavailable('unfit', `${realm.host} sends no token that can be read`)
    : ok(token);
}

function parseToken(body: Buffer | undefined): IssuedUpstreamToken | undefined {
  try {
    const { token, access_token: accessToken, expires_in: lifetime } = JSON.parse(String(body));
    const value: unknown = token ?? accessToken;
    // A header may contain only visible characters. Anything else would be an injection.
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) return undefined;
    return {
      token: value,
      lifetime: Number.isInteger(lifetime) && lifetime > 0 ? lifetime : DEFAULT_LIFETIME,
    };
  } catch {
    return undefined;
  }
}
