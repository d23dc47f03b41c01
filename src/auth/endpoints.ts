import Koa, { type Context } from 'koa';
import type { z } from 'zod';
import type { WatchedPolicy } from '../access/policy-watcher.ts';
import { ANONYMOUS, formatSubject, parseSubject } from '../access/subject.ts';
import {
  createLongPollEndpoint,
  LONGEST_WAIT,
  type LongPollEndpoint,
} from '../platform/ipc/long-poll-endpoint.ts';
import type { Logger } from '../platform/log.ts';
import type { Meters } from '../platform/metrics.ts';
import { readBody } from '../platform/read-body.ts';
import {
  AUTHENTICATE,
  type AuthStatus,
  type IssuedToken,
  LONGEST_SILENCE,
  type LoginRefusal,
  type SerializedIdentity,
  TOKEN_REQUEST,
  type TokenRequest,
} from '../protocol/auth-api.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import type { Authenticate, Verdict } from './identity/authenticate.ts';
import { ANONYMOUS_CREDENTIAL, type CredentialRegistry } from './identity/credential-registry.ts';
import { expiringTokens } from './identity/expiring-tokens.ts';
import type { AuthState } from './state/auth-state.ts';
import { type GrantedScopes, grantScopes } from './token/grant-scopes.ts';
import { type IssuerOptions, signToken } from './token/issue-token.ts';
import type { RefreshTokens } from './token/refresh.ts';
import { tokenLifetime } from './token/token-lifetime.ts';

/** The services of auth on its socket, which only gateways use. */
export interface AuthDependencies {
  readonly authenticate: Authenticate;
  readonly refreshTokens: RefreshTokens;
  readonly credentials: CredentialRegistry;
  readonly policy: WatchedPolicy;
  readonly state: AuthState;
  readonly names: UpstreamNames;
  readonly metrics: Pick<Meters, 'snapshot'>;
  readonly issuer: IssuerOptions;
  readonly log: Logger;
  /** Aborted when auth stops, so that long polls end. */
  readonly stopping: AbortSignal;
}

/**
 * The limit is derived from the bounds that gateways set: a secret of 16 KiB, each character of which may
 * take six in JSON, and 50 scopes of 512.
 */
const MAX_BODY = 256 * 1024;

/** Thrown if a request is not one that a gateway sends. */
class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

type AuthenticatedSubject = Omit<Verdict & { kind: 'authenticated' }, 'kind'>;

export function authApplication(dependencies: AuthDependencies): Koa {
  const app = new Koa();
  const { credentials, policy, issuer, stopping } = dependencies;
  const followed: FollowedSources = {
    credentials: createLongPollEndpoint(
      credentials,
      JSON.stringify,
      stopping,
      LONGEST_SILENCE + LONGEST_WAIT,
    ),
    policy: createLongPollEndpoint(policy.told, (told) => told, stopping),
    keys: createLongPollEndpoint(
      issuer.keys,
      ({ verifying }) => JSON.stringify({ keys: verifying }),
      stopping,
    ),
  };
  // Koa's own handler would print to stderr. An error that reaches it is a fault of ours.
  app.silent = true;
  app.use(async (context) => {
    try {
      await answer(context, dependencies, followed);
    } catch (error) {
      if (error instanceof BadRequest) {
        dependencies.log.error({ reason: error.message }, 'a gateway asks auth for what it cannot');
        context.status = 422;
        return;
      }
      dependencies.log.error({ err: error }, 'auth failed');
      context.status = 500;
    }
  });
  return app;
}

interface FollowedSources {
  readonly credentials: LongPollEndpoint;
  readonly policy: LongPollEndpoint;
  readonly keys: LongPollEndpoint;
}

async function answer(
  context: Context,
  dependencies: AuthDependencies,
  followed: FollowedSources,
): Promise<void> {
  switch (`${context.method} ${context.path}`) {
    case 'POST /authenticate':
      return answerAuthenticate(context, dependencies);
    case 'POST /token':
      return answerToken(context, dependencies);
    case 'GET /keys':
      return followed.keys.answer(context);
    case 'GET /credentials':
      if (!('wait' in context.query)) await dependencies.credentials.refresh();
      return followed.credentials.answer(context);
    case 'GET /policy':
      return followed.policy.answer(context);
    case 'GET /gateways':
      context.body = await followed.credentials.followers(context);
      return;
    case 'GET /status':
      context.body = await statusOf(dependencies);
      return;
    case 'GET /metrics':
      context.body = await dependencies.metrics.snapshot();
      return;
    default:
      context.status = 404;
  }
}

async function statusOf({ policy, state, issuer }: AuthDependencies): Promise<AuthStatus> {
  const tokens = await expiringTokens(state, issuer.clock());
  return {
    policy: policy.status,
    expiringTokens: tokens.map(({ id, owner, expiresAt }) => ({ id, owner, expiresAt })),
  };
}

async function answerAuthenticate(context: Context, { authenticate }: AuthDependencies): Promise<void> {
  const { login, address, isStray } = await readJson(context, AUTHENTICATE);
  // The gateway ends its request when the client has gone.
  const verdict = await authenticate(login, address, { isStray, signal: context.req.signal });
  if (verdict.kind !== 'authenticated')
    return refuse(context, verdict.kind === 'busy' ? 'TOO_MANY_LOGINS' : 'BAD_CREDENTIALS');
  context.body = {
    subject: formatSubject(verdict.subject),
    credential: verdict.credential,
  } satisfies SerializedIdentity;
}

async function answerToken(context: Context, dependencies: AuthDependencies): Promise<void> {
  const request = await readJson(context, TOKEN_REQUEST);
  const identified = await identify(request, dependencies, context.req.signal);
  if (typeof identified === 'string') return refuse(context, identified);
  const { access, scope } = granted(request, identified, dependencies);
  const who = { subject: formatSubject(identified.subject), credential: identified.credential };
  const { issuer } = dependencies;
  const lifetime = tokenLifetime(issuer.lifetime, identified.until, issuer.clock());
  const token = signToken({ ...who, access }, { ...issuer, lifetime });
  const refreshToken = await giveRefreshToken(request, identified, dependencies);
  context.body = {
    ...{ ...who, token, expiresIn: lifetime / 1000, scope },
    ...(refreshToken !== undefined && { refreshToken }),
  } satisfies IssuedToken;
}

/**
 * Issues a refresh token. None is issued if it cannot be stored, for example on a full disk. The login is
 * valid without it.
 */
async function giveRefreshToken(
  { offline }: TokenRequest,
  identified: AuthenticatedSubject,
  { refreshTokens, log }: AuthDependencies,
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
  dependencies: AuthDependencies,
  signal: AbortSignal,
): Promise<AuthenticatedSubject | LoginRefusal> {
  const nobody: AuthenticatedSubject = { subject: ANONYMOUS, credential: ANONYMOUS_CREDENTIAL };
  const certified = byCertificate(request);
  const isGranted = granted(request, nobody, dependencies).access.length > 0;
  const otherwise = request.scopes.length === 0 ? undefined : (certified ?? (isGranted ? nobody : undefined));
  if (request.refreshToken !== null)
    return (await dependencies.refreshTokens.redeem(request.refreshToken)) ?? otherwise ?? 'BAD_CREDENTIALS';
  if (request.login === null) return certified ?? nobody;
  const verdict = await dependencies.authenticate(request.login, request.address, {
    isStray: otherwise !== undefined,
    signal,
  });
  if (verdict.kind === 'authenticated') return verdict;
  // A login that was not judged yet must not count as unknown: a client that may do more would get the token
  // of anonymous.
  if (verdict.kind === 'busy') return 'TOO_MANY_LOGINS';
  return otherwise ?? 'BAD_CREDENTIALS';
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
  { policy, names, issuer }: AuthDependencies,
): GrantedScopes {
  return grantScopes(
    scopes,
    { subject, address, at: issuer.clock(), ...(restriction && { restriction }) },
    policy.current,
    names,
  );
}

async function readJson<Schema extends z.ZodType>(
  context: Context,
  schema: Schema,
): Promise<z.output<Schema>> {
  const body = await readBody(context.req, MAX_BODY);
  if (body === undefined) throw new BadRequest(`a request is longer than ${MAX_BODY} bytes`);
  const parsed = schema.safeParse(parseJson(body.toString('utf8')));
  if (!parsed.success) throw new BadRequest('a request is not of the form that auth reads');
  return parsed.data;
}

/** Returns undefined if the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refuse(context: Context, error: LoginRefusal): void {
  context.status = 400;
  context.body = { error };
}
