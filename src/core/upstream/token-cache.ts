import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.ts';
import { readBody } from '../../platform/read-body.ts';
import { type Answer, cannot, no, yes } from './answer.ts';
import { readRetryAfter } from './quota.ts';
import { discard, type Transport, type UpstreamResponse } from './transport.ts';

/** Which token is wanted: they are cached by all of this. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string;
  /** Undefined: anonymously. */
  readonly account: { readonly username: string; readonly authorization: () => Promise<string> } | undefined;
}

export interface TokenCache {
  get(request: TokenRequest): Promise<Answer<string>>;
  /** After the upstream refused `token`: the next `get` fetches another one. */
  drop(request: TokenRequest, token: string): void;
}

const DEADLINE = 5_000;
const MAX_BODY = 64 * 1024;
/** The token specification: what is assumed where `expires_in` is missing. */
const DEFAULT_LIFETIME = 60;
const RENEW_AT = 0.8;
/** A token of the Hub's is some 3 KB long. */
const MAX_TOKENS = 2_000;

interface CachedToken {
  readonly token: string;
  readonly renewAt: number;
}

/** Tokens of upstreams' token services: one request however many ask at once, renewed at 80 % of their life. */
export function createTokenCache(transport: Transport, clock: Clock): TokenCache {
  const tokens = new LRUCache<string, CachedToken>({ max: MAX_TOKENS });
  const pending = new Map<string, Promise<Answer<string>>>();

  const fetchInto = async (key: string, request: TokenRequest): Promise<Answer<string>> => {
    const fetched = await fetchToken(transport, request, clock);
    if (fetched.kind !== 'yes') return fetched;
    tokens.set(key, fetched.value);
    return yes(fetched.value.token);
  };

  return {
    get(request) {
      const key = keyOf(request);
      const cached = tokens.get(key);
      if (cached !== undefined && clock() < cached.renewAt) return Promise.resolve(yes(cached.token));
      const waiting = pending.get(key) ?? fetchInto(key, request).finally(() => pending.delete(key));
      pending.set(key, waiting);
      return waiting;
    },
    drop(request, token) {
      const key = keyOf(request);
      if (tokens.get(key)?.token === token) tokens.delete(key);
    },
  };
}

function keyOf({ realm, service, scope, account }: TokenRequest): string {
  return JSON.stringify([realm.href, service, scope, account?.username]);
}

async function fetchToken(
  transport: Transport,
  request: TokenRequest,
  clock: Clock,
): Promise<Answer<CachedToken>> {
  const { realm, service, scope, account } = request;
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  url.searchParams.set('client_id', 'hubgate');
  if (account !== undefined) url.searchParams.set('account', account.username);
  let authorization: string | undefined;
  try {
    authorization = await account?.authorization();
  } catch (error) {
    return cannot('credential', `the secret file cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  const asked = clock();
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await transport.send({ method: 'GET', url, headers, deadline: DEADLINE });
  return answer.kind === 'yes' ? readToken(answer.value, realm, account !== undefined, asked) : answer;
}

async function readToken(
  response: UpstreamResponse,
  realm: URL,
  asAccount: boolean,
  asked: number,
): Promise<Answer<CachedToken>> {
  const { statusCode: status, headers } = response;
  if (status !== 200) {
    discard(response);
    if (status === 401 && asAccount)
      return cannot('credential', `${realm.host} refuses the configured credential`);
    if (status === 401 || status === 403) return no('unauthorized');
    if (status === 429)
      return cannot('limited', `${realm.host}: 429`, readRetryAfter(headers['retry-after'], asked));
    return cannot('failed', `${realm.host}: ${status}`);
  }
  const parsed = parseToken(await readBody(response.body, MAX_BODY).catch(() => undefined));
  if (parsed === undefined) return cannot('unfit', `${realm.host} sends no token that can be read`);
  return yes({ token: parsed.token, renewAt: asked + parsed.lifetime * 1000 * RENEW_AT });
}

function parseToken(body: Buffer | undefined): { token: string; lifetime: number } | undefined {
  try {
    const { token, access_token: accessToken, expires_in: lifetime } = JSON.parse(String(body));
    const value: unknown = token ?? accessToken;
    // A header takes visible characters only; anything else there would be an injection.
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) return undefined;
    return {
      token: value,
      lifetime: Number.isInteger(lifetime) && lifetime > 0 ? lifetime : DEFAULT_LIFETIME,
    };
  } catch {
    return undefined;
  }
}
