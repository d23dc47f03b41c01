import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { WatchedPolicy } from '../../access/policy-watcher.ts';
import { ANONYMOUS, formatSubject, parseSubject, type Subject } from '../../access/subject.ts';
import type { Logger } from '../../platform/log.ts';
import { type IssuedToken, type Refusal, TOKEN_REQUEST, type TokenRequest } from '../../protocol/auth-api.ts';
import type { UpstreamNames } from '../../registry/repository.ts';
import type { Authenticate, Verdict } from '../identity/authenticate.ts';
import { ANONYMOUS_CREDENTIAL } from '../identity/credential-registry.ts';
import { type GrantedScopes, grantScopes } from '../token/grant-scopes.ts';
import { type IssuerOptions, signToken } from '../token/issue-token.ts';
import type { RefreshTokens } from '../token/refresh.ts';
import { tokenLifetime } from '../token/token-lifetime.ts';
import { answerJson, BadRequest, loginRefusalOf, RequestedLogin, readJson, refuseLogin } from './request.ts';

export interface TokenRouteDependencies {
  readonly authenticate: Authenticate;
  readonly refreshTokens: RefreshTokens;
  readonly policy: WatchedPolicy;
  /** Returns the groups that a subject has in its directory, as far as the policy names them. */
  readonly groupsOf: (subject: Subject) => readonly string[];
  readonly names: UpstreamNames;
  readonly issuer: IssuerOptions;
  readonly log: Logger;
}

type AuthenticatedSubject = Omit<Verdict & { kind: 'authenticated' }, 'kind'>;

/** Issues a token for what the client has proved, and a refresh token if the client wants one. */
export async function issueToken(context: Context, dependencies: TokenRouteDependencies): Promise<void> {
  const request = await readJson(context, TOKEN_REQUEST);
  const identified = await identify(request, dependencies, context.req);
  if ('error' in identified) return refuseLogin(context, identified);
  const { access, scope } = granted(request, identified, dependencies);
  const who = { subject: formatSubject(identified.subject), credential: identified.credential };
  const { issuer } = dependencies;
  const lifetime = tokenLifetime(issuer.lifetime, identified.until, issuer.clock());
  const token = signToken({ ...who, access }, { ...issuer, lifetime });
  const refreshToken = await giveRefreshToken(request, identified, dependencies);
  answerJson(context, {
    ...{ ...who, token, expiresIn: lifetime / 1000, scope },
    ...(refreshToken !== undefined && { refreshToken }),
  } satisfies IssuedToken);
}

/**
 * Issues a refresh token. None is issued if it cannot be stored, for example on a full disk. The login is
 * valid without it.
 */
async function giveRefreshToken(
  { offline }: TokenRequest,
  identified: AuthenticatedSubject,
  { refreshTokens, log }: TokenRouteDependencies,
): Promise<string | undefined> {
  if (offline === null) return undefined;
  try {
    return await refreshTokens.give(identified, offline);
  } catch (error) {
    log.error({ err: error }, 'a refresh token cannot be kept');
    return undefined;
  }
}

/**
 * Identifies the client that asks for a token. A classic dockerd sends its Docker Hub login to every mirror.
 * So if the request has a scope, an unknown login counts as no login, provided that a certificate names a
 * subject or that anonymous is granted something. The same holds for the Hub's own refresh token. A request
 * without a scope is a login to this mirror, and gets the refusal. A login that counts as none does not count
 * as a wrong guess.
 */
async function identify(
  request: TokenRequest,
  dependencies: TokenRouteDependencies,
  incoming: IncomingMessage,
): Promise<AuthenticatedSubject | Refusal> {
  const { issuer } = dependencies;
  const nobody: AuthenticatedSubject = { subject: ANONYMOUS, credential: ANONYMOUS_CREDENTIAL };
  const certified = byCertificate(request);
  const isGranted = () => granted(request, nobody, dependencies).access.length > 0;
  // Most logins are right, so this is decided only when somebody asks, and then once.
  const otherwise = once(() =>
    request.scopes.length === 0 ? undefined : (certified ?? (isGranted() ? nobody : undefined)),
  );
  if (request.refreshToken !== null)
    return (
      (await dependencies.refreshTokens.redeem(request.refreshToken)) ??
      otherwise() ?? { error: 'BAD_CREDENTIALS' }
    );
  if (request.login === null) return certified ?? nobody;
  const { login, address } = request;
  const options = new RequestedLogin(incoming, () => otherwise() !== undefined);
  const verdict = await dependencies.authenticate(login, address, options);
  if (verdict.kind === 'authenticated') return verdict;
  // A login that was not judged yet, or whose owner must be confirmed, must not count as unknown: a client
  // that may do more would get the token of anonymous.
  const refusal = loginRefusalOf(verdict, issuer.issuer);
  return verdict.kind === 'wrong' ? (otherwise() ?? refusal) : refusal;
}

/** Returns a function that decides when it is first called, and gives the same answer ever after. */
function once<T>(decide: () => T): () => T {
  let decided: { readonly answer: T } | undefined;
  return () => {
    decided ??= { answer: decide() };
    return decided.answer;
  };
}

function byCertificate({ certificate }: TokenRequest): AuthenticatedSubject | undefined {
  if (certificate === null) return undefined;
  const subject = parseSubject(certificate.subject);
  // A gateway may vouch for certificates alone.
  if (subject?.kind !== 'cert') throw new BadRequest('a request names a certificate of no machine');
  return { subject, credential: certificate.credential };
}

function granted(
  { scopes, address }: TokenRequest,
  { subject, restriction }: AuthenticatedSubject,
  { policy, names, issuer, groupsOf }: TokenRouteDependencies,
): GrantedScopes {
  const groups = groupsOf(subject);
  return grantScopes(
    scopes,
    { subject, groups, address, at: issuer.clock(), ...(restriction && { restriction }) },
    policy.current,
    names,
  );
}
