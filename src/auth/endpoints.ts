import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import Koa, { type Context } from 'koa';
import type { FollowedPolicy } from '../access/live-policy.ts';
import { ANONYMOUS, parseSubject, writeSubject } from '../access/subject.ts';
import type { Live } from '../platform/live.ts';
import type { Logger } from '../platform/log.ts';
import { readBody } from '../platform/read-body.ts';
import {
  AUTHENTICATE,
  type AuthStatus,
  type Identity,
  type IssuedToken,
  LONGEST_WAIT,
  type LoginRefusal,
  TOKEN_REQUEST,
  type TokenRequest,
} from '../registry/auth-api.ts';
import type { ErrorName } from '../registry/error.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import type { Authenticate, Verdict } from './identity/authenticate.ts';
import { expiringTokens } from './identity/expiring-tokens.ts';
import { ANONYMOUS_CREDENTIAL, type LiveCredentials } from './identity/live-credentials.ts';
import type { AuthState } from './state/auth-state.ts';
import { type GrantedScopes, grantScopes } from './token/grant-scopes.ts';
import { type IssuerOptions, issueToken } from './token/issue-token.ts';
import type { RefreshTokens } from './token/refresh.ts';
import { tokenLifetime } from './token/token-lifetime.ts';

/** What auth serves on its socket, to gateways alone. */
export interface AuthRooms {
  readonly authenticate: Authenticate;
  readonly refreshTokens: RefreshTokens;
  readonly credentials: LiveCredentials;
  readonly policy: FollowedPolicy;
  readonly state: AuthState;
  readonly names: UpstreamNames;
  readonly issuer: IssuerOptions;
  readonly log: Logger;
  /** Aborted where nobody who waits is to be kept waiting. */
  readonly stopping: AbortSignal;
}

const MAX_BODY = 128 * 1024;

type Identified = Omit<Verdict & { kind: 'authenticated' }, 'kind'>;

export function authApplication(rooms: AuthRooms): Koa {
  const app = new Koa();
  const tagged: Tagged = {
    credentials: writtenOnce(rooms.credentials, (current) => current),
    policy: writtenPolicy(rooms.policy),
    keys: writtenOnce(rooms.issuer.keys, ({ verifying }) => ({ keys: verifying })),
  };
  // Koa's own handler would print to stderr; everything that reaches it is a fault of ours.
  app.silent = true;
  app.use(async (context) => {
    try {
      await answer(context, rooms, tagged);
    } catch (error) {
      rooms.log.error({ error: (error as Error).stack }, 'auth failed');
      refuse(context, 'INTERNAL');
    }
  });
  return app;
}

async function answer(context: Context, rooms: AuthRooms, tagged: Tagged): Promise<void> {
  switch (`${context.method} ${context.path}`) {
    case 'POST /authenticate':
      return answerAuthenticate(context, rooms);
    case 'POST /token':
      return answerToken(context, rooms);
    case 'GET /keys':
      return answerTagged(context, tagged.keys, rooms.issuer.keys, rooms.stopping);
    case 'GET /credentials':
      if (!('wait' in context.query)) await rooms.credentials.refresh();
      return answerTagged(context, tagged.credentials, rooms.credentials, rooms.stopping);
    case 'GET /policy':
      return answerTagged(context, tagged.policy, rooms.policy, rooms.stopping);
    case 'GET /status':
      context.body = await statusOf(rooms);
      return;
    default:
      context.status = 404;
  }
}

async function statusOf({ policy, state, issuer }: AuthRooms): Promise<AuthStatus> {
  const tokens = await expiringTokens(state, issuer.clock());
  return {
    policy: policy.status,
    expiringTokens: tokens.map(({ id, owner, expiresAt }) => ({ id, owner, expiresAt })),
  };
}

async function answerAuthenticate(context: Context, { authenticate }: AuthRooms): Promise<void> {
  const { login, address } = AUTHENTICATE.parse(await readJson(context));
  const verdict = await authenticate(login, address);
  if (verdict.kind !== 'authenticated')
    return refuse(context, verdict.kind === 'busy' ? 'TOO_MANY_LOGINS' : 'BAD_CREDENTIALS');
  context.body = {
    subject: writeSubject(verdict.subject),
    credential: verdict.credential,
  } satisfies Identity;
}

async function answerToken(context: Context, rooms: AuthRooms): Promise<void> {
  const request = TOKEN_REQUEST.parse(await readJson(context));
  const identified = await identify(request, rooms);
  if (typeof identified === 'string') return refuse(context, identified);
  const { access, scope } = granted(request, identified, rooms);
  const who = { subject: writeSubject(identified.subject), credential: identified.credential };
  const { issuer } = rooms;
  const lifetime = tokenLifetime(issuer.lifetime, identified.until, issuer.clock());
  const token = await issueToken({ ...who, access }, { ...issuer, lifetime });
  const refreshToken = await giveRefreshToken(request, identified, rooms);
  context.body = {
    ...{ ...who, token, expiresIn: lifetime / 1000, scope },
    ...(refreshToken !== undefined && { refreshToken }),
  } satisfies IssuedToken;
}

/** Where none can be kept, as on a full disk, none is given: the login is good without it. */
async function giveRefreshToken(
  { offline }: TokenRequest,
  identified: Identified,
  { refreshTokens, log }: AuthRooms,
): Promise<string | undefined> {
  if (offline === null) return undefined;
  try {
    return await refreshTokens.give(identified, offline);
  } catch (error) {
    log.error({ error: (error as Error).message }, 'a refresh token cannot be kept');
    return undefined;
  }
}

/**
 * Who asks for a token. A classic dockerd sends its Docker Hub login to every mirror, so with a scope a login that is
 * unknown here is taken for none where a certificate names somebody or the network alone is granted something, and so is
 * the Hub's own refresh token; without a scope it is somebody who logs in here, and is told. What is taken for none is
 * held against nobody.
 */
async function identify(request: TokenRequest, rooms: AuthRooms): Promise<Identified | LoginRefusal> {
  const nobody: Identified = { subject: ANONYMOUS, credential: ANONYMOUS_CREDENTIAL };
  const certified = byCertificate(request);
  const isGranted = granted(request, nobody, rooms).access.length > 0;
  const otherwise = request.scopes.length === 0 ? undefined : (certified ?? (isGranted ? nobody : undefined));
  if (request.refreshToken !== null)
    return (await rooms.refreshTokens.redeem(request.refreshToken)) ?? otherwise ?? 'BAD_CREDENTIALS';
  if (request.login === null) return certified ?? nobody;
  const verdict = await rooms.authenticate(request.login, request.address, otherwise !== undefined);
  if (verdict.kind === 'authenticated') return verdict;
  // Not yet judged is not unknown: somebody who may more would be given the token of nobody.
  if (verdict.kind === 'busy') return 'TOO_MANY_LOGINS';
  return otherwise ?? 'BAD_CREDENTIALS';
}

function byCertificate({ certificate }: TokenRequest): Identified | undefined {
  if (certificate === null) return undefined;
  const subject = parseSubject(certificate.subject);
  return subject && { subject, credential: certificate.credential };
}

function granted(
  { scopes, address }: TokenRequest,
  { subject, narrowing }: Identified,
  { policy, names, issuer }: AuthRooms,
): GrantedScopes {
  return grantScopes(
    scopes,
    { subject, address, at: issuer.clock(), ...(narrowing && { narrowing }) },
    policy.current,
    names,
  );
}

/** What gateways follow, as JSON, and a tag that differs where it does. */
interface TaggedAnswer {
  readonly etag: string;
  readonly body: string;
}

interface Tagged {
  readonly credentials: () => TaggedAnswer;
  readonly policy: () => TaggedAnswer;
  readonly keys: () => TaggedAnswer;
}

/** Answers when there is something new, if that is what is wanted. */
async function answerTagged(
  context: Context,
  tagged: () => TaggedAnswer,
  live: Live<unknown>,
  stopping: AbortSignal,
): Promise<void> {
  const known = context.get('if-none-match');
  if (tagged().etag === known && 'wait' in context.query) {
    const gone = new AbortController();
    context.res.once('close', () => gone.abort());
    const signal = AbortSignal.any([stopping, gone.signal]);
    const late = delay(LONGEST_WAIT, undefined, { signal, ref: false }).catch(() => {});
    await Promise.race([live.changed(), late]);
    gone.abort();
  }
  const { etag, body } = tagged();
  context.set('etag', etag);
  if (etag === known) context.status = 304;
  else context.body = body;
}

/** Every gateway asks, so an answer is put together only when what it says has changed. */
function writtenOnce<T>(live: Live<T>, write: (value: T) => unknown): () => TaggedAnswer {
  let last: (TaggedAnswer & { readonly of: T }) | undefined;
  return () => {
    if (last?.of === live.current) return last;
    const body = JSON.stringify(write(live.current));
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
    last = { of: live.current, body, etag };
    return last;
  };
}

function writtenPolicy(policy: FollowedPolicy): () => TaggedAnswer {
  return writtenOnce(policy, ({ data }) => data);
}

async function readJson(context: Context): Promise<unknown> {
  const body = await readBody(context.req, MAX_BODY);
  return JSON.parse(body?.toString('utf8') ?? '');
}

function refuse(context: Context, error: ErrorName): void {
  context.status = 400;
  context.body = { error };
}
