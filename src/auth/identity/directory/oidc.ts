/**
 * Asks an identity provider by OpenID Connect: the authorization code flow with PKCE, and refresh tokens.
 * Only this module and its way to the provider know the library.
 */
import * as client from 'openid-client';
import type { OidcLogin } from '../../../config/login.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import type { Logger } from '../../../platform/log.ts';
import { isObject } from '../../../platform/object-properties.ts';
import { readRegularFile } from '../../../platform/regular-file.ts';
import { OIDC } from '../../limits.ts';
import { expandSubject } from '../federation/expand-subject.ts';
import { type DirectoryPerson, DirectoryUnavailable, readGroups } from './directory.ts';
import { openProviderFetch } from './provider-fetch.ts';

/** The browser must bring these back unchanged. */
export interface PendingLogin {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export type OidcAnswer = { readonly person: DirectoryPerson } | { readonly refused: string };

/** The answer of a provider to a refresh token. */
export type RefreshAnswer =
  | { readonly kind: 'confirmed'; readonly person: DirectoryPerson }
  | { readonly kind: 'refused' }
  /**
   * It accepts the token, and does not say who that is. The refresh token that it gives still replaces the
   * other one. `fault` is present if it did not answer to the end.
   */
  | {
      readonly kind: 'unusable';
      readonly reason: string;
      readonly refreshToken: string | undefined;
      readonly fault?: DirectoryUnavailable;
    };

export interface OidcDirectory extends AsyncDisposable {
  /**
   * Returns where the browser goes, and what its answer is compared with.
   * @throws DirectoryUnavailable
   */
  begin(redirect: URL): Promise<{ readonly location: string; readonly pending: PendingLogin }>;
  /**
   * Judges the answer of the browser. `current` is its whole URL.
   * @throws DirectoryUnavailable
   */
  finish(current: URL, pending: PendingLogin): Promise<OidcAnswer>;
  /** @throws DirectoryUnavailable if the provider says nothing that counts */
  refresh(refreshToken: string, stableId: string): Promise<RefreshAnswer>;
  /**
   * Reads the provider's configuration, and says what is missing in it.
   * @throws DirectoryUnavailable
   */
  check(): Promise<readonly string[]>;
}

export interface OidcDirectoryOptions {
  readonly login: OidcLogin;
  readonly egress?: EgressOptions | undefined;
  readonly log: Logger;
}

export function openOidcDirectory({ login, egress, log }: OidcDirectoryOptions): OidcDirectory {
  const way = openProviderFetch(egress);
  const configuration = createConfiguration(login, way.fetch);
  const readTokens = async (
    tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
    stableId?: string,
  ): Promise<OidcAnswer> => {
    const idToken = tokens.claims();
    const sub = idToken?.sub ?? stableId;
    if (sub === undefined || (stableId !== undefined && sub !== stableId))
      return { refused: 'the identity provider answers for somebody else' };
    const config = await configuration();
    const claims = await allClaims(login, config, { sub, idToken, accessToken: tokens.access_token });
    const name = expandSubject(login.user, claims);
    if (!('subject' in name)) return { refused: 'unfit' in name ? name.unfit : name.ambiguous };
    const { sid } = claims;
    return {
      person: {
        ...{ stableId: sub, name: name.subject, groups: groupsIn(claims, login, log) },
        ...(tokens.refresh_token !== undefined && { refreshToken: tokens.refresh_token }),
        ...(typeof sid === 'string' && { sid }),
      },
    };
  };

  return {
    begin: (redirect) =>
      asking(async () => {
        const config = await configuration();
        const pending = {
          state: client.randomState(),
          nonce: client.randomNonce(),
          verifier: client.randomPKCECodeVerifier(),
        };
        const location = client.buildAuthorizationUrl(config, {
          redirect_uri: redirect.href,
          scope: scopesFor(config).join(' '),
          code_challenge: await client.calculatePKCECodeChallenge(pending.verifier),
          code_challenge_method: 'S256',
          state: pending.state,
          nonce: pending.nonce,
        });
        return { location: location.href, pending };
      }),
    finish: (current, { state, nonce, verifier }) =>
      asking(async () => {
        const config = await configuration();
        try {
          const tokens = await client.authorizationCodeGrant(config, current, {
            ...{
              expectedState: state,
              expectedNonce: nonce,
              pkceCodeVerifier: verifier,
              idTokenExpected: true,
            },
          });
          return await readTokens(tokens);
        } catch (error) {
          const refused = refusalIn(error);
          if (refused !== undefined) return { refused };
          throw error;
        }
      }),
    refresh: async (refreshToken, stableId) => {
      const tokens = await asking(() => refreshedTokens(configuration, refreshToken));
      if (tokens === 'refused') return { kind: 'refused' };
      const renewed = tokens.refresh_token;
      try {
        const answer = await asking(() => readTokens(tokens, stableId));
        return 'person' in answer
          ? { kind: 'confirmed', person: answer.person }
          : { kind: 'unusable', reason: answer.refused, refreshToken: renewed };
      } catch (error) {
        if (!(error instanceof DirectoryUnavailable)) throw error;
        return { kind: 'unusable', reason: error.message, refreshToken: renewed, fault: error };
      }
    },
    check: () =>
      asking(async () => {
        const server = (await configuration()).serverMetadata();
        const grants = server.grant_types_supported;
        return [
          ...(grants !== undefined && !grants.includes('refresh_token')
            ? ['it gives no refresh tokens, so people must log in again within "offline"']
            : []),
          ...(server.claims_supported !== undefined &&
          !server.claims_supported.includes(login.groups[0] ?? '')
            ? [`it does not list the claim ${login.groups.join('/')}; without it nobody has groups`]
            : []),
        ];
      }),
    [Symbol.asyncDispose]: () => way[Symbol.asyncDispose](),
  };
}

async function refreshedTokens(
  configuration: () => Promise<client.Configuration>,
  refreshToken: string,
): Promise<Awaited<ReturnType<typeof client.refreshTokenGrant>> | 'refused'> {
  const config = await configuration();
  try {
    return await client.refreshTokenGrant(config, refreshToken);
  } catch (error) {
    // A provider that limits requests says nothing about the token.
    const isGrant = error instanceof client.ResponseBodyError && error.error === 'invalid_grant';
    if (isGrant && error.status !== 429) return 'refused';
    throw error;
  }
}

/** Reads the provider's configuration when it is first needed, and again after a failure or some time. */
function createConfiguration(
  { issuer, clientId, clientSecretFile }: OidcLogin,
  fetch: client.CustomFetch,
): () => Promise<client.Configuration> {
  let known: { readonly at: number; readonly config: Promise<client.Configuration> } | undefined;
  const read = async () => {
    const secret =
      clientSecretFile === undefined
        ? undefined
        : String(await readRegularFile(clientSecretFile)).replace(/\r?\n$/, '');
    const authentication = secret === undefined ? client.None() : client.ClientSecretBasic(secret);
    const insecure = issuer.startsWith('http:') ? [client.allowInsecureRequests] : [];
    const options = { [client.customFetch]: fetch, timeout: OIDC.deadline / 1000, execute: insecure };
    const config = await client.discovery(new URL(issuer), clientId, undefined, authentication, options);
    if (config.serverMetadata().issuer !== issuer)
      throw new DirectoryUnavailable('it says that it is another issuer');
    return config;
  };
  return () => {
    const now = performance.now();
    if (known !== undefined && now - known.at < OIDC.configurationFor) return known.config;
    const config = read();
    known = { at: now, config };
    config.catch(() => {
      if (known?.config === config) known = undefined;
    });
    return config;
  };
}

/** Returns the scopes to ask for. A provider that does not list them may refuse those it does not know. */
function scopesFor(config: client.Configuration): string[] {
  const supported = config.serverMetadata().scopes_supported ?? ['openid', 'profile', 'offline_access'];
  return ['openid', 'profile', 'groups', 'offline_access'].filter(
    (scope) => scope === 'openid' || supported.includes(scope),
  );
}

/** @throws DirectoryUnavailable in place of everything that is not an answer */
async function asking<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof DirectoryUnavailable) throw error;
    // The messages of the library contain no secret and nothing that a person wrote.
    const code = error instanceof client.ClientError ? ` (${error.code ?? error.message})` : '';
    const said = error instanceof client.ResponseBodyError ? ` (${error.error})` : code;
    throw new DirectoryUnavailable(`it does not answer as it should${said}`, { cause: error });
  }
}

/** Returns why an answer of a browser is refused; undefined if it cannot be judged. */
function refusalIn(error: unknown): string | undefined {
  if (error instanceof client.AuthorizationResponseError)
    return error.error === 'access_denied'
      ? 'the identity provider refused the login'
      : 'the identity provider did not finish the login';
  if (error instanceof client.ResponseBodyError && error.error === 'invalid_grant')
    return 'the login was finished already, or began elsewhere';
  const isWrong = error instanceof client.ClientError && WRONG_ANSWERS.has(error.code ?? '');
  return isWrong ? 'the answer of the identity provider is not the one to this login' : undefined;
}

/** The codes of answers that are there, and wrong: another state, nonce, issuer or signature. */
const WRONG_ANSWERS: ReadonlySet<string> = new Set([
  'OAUTH_INVALID_RESPONSE',
  'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  'OAUTH_JWT_TIMESTAMP_CHECK_FAILED',
  'OAUTH_KEY_SELECTION_FAILED',
  'OAUTH_PARSE_ERROR',
  'OAUTH_MISSING_SERVER_METADATA',
]);

interface SaidClaims {
  readonly sub: string;
  readonly idToken: Readonly<Record<string, unknown>> | undefined;
  readonly accessToken: string;
}

/** Adds what only the userinfo endpoint says, because many providers keep ID tokens short. */
async function allClaims(
  { user, groups }: OidcLogin,
  config: client.Configuration,
  { sub, idToken = {}, accessToken }: SaidClaims,
): Promise<Readonly<Record<string, unknown>>> {
  const wanted = [groups[0], ...user.map((part) => ('claim' in part ? part.claim[0] : undefined))];
  const isComplete = wanted.every((name) => name === undefined || Object.hasOwn(idToken, name));
  if (isComplete || config.serverMetadata().userinfo_endpoint === undefined) return idToken;
  return { ...(await client.fetchUserInfo(config, accessToken, sub)), ...idToken };
}

/**
 * A claim that is missing, or not a list, means that somebody has no groups, and never that they have all. If
 * it says that the groups are elsewhere, somebody has groups, and nobody knows which.
 */
function groupsIn(
  claims: Readonly<Record<string, unknown>>,
  { name: login, groups: way }: OidcLogin,
  log: Logger,
): DirectoryPerson['groups'] {
  let value: unknown = claims;
  for (const name of way) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  const claim = way.join('/');
  const list = typeof value === 'string' ? [value] : value;
  const absent = isElsewhere(way, claims) ? 'incomplete' : undefined;
  const read = Array.isArray(list) ? readGroups(list) : absent;
  if (read === 'incomplete') log.warn({ login, claim }, 'somebody has too many groups, and is refused');
  else if (read === undefined)
    log.warn({ login, claim }, 'the identity provider names no groups of somebody, who therefore has none');
  return read ?? [];
}

/**
 * True if the provider only names the place of a claim (OpenID Connect Core 1.0, section 5.6.2). Entra ID
 * does that for somebody who has more than 200 groups.
 */
function isElsewhere(
  [claim = '']: readonly string[],
  { _claim_names: names }: Readonly<Record<string, unknown>>,
): boolean {
  return isObject(names) && Object.hasOwn(names, claim);
}
