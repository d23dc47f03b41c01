import { createHash } from 'node:crypto';
import Koa, { type Context } from 'koa';
import type { LivePolicy } from '../access/live-policy.ts';
import { ANONYMOUS, type Subject, writeSubject } from '../access/subject.ts';
import type { Logger } from '../platform/log.ts';
import { readBody } from '../platform/read-body.ts';
import {
  type Credentials,
  type Identity,
  type IssuedToken,
  LOGIN,
  type LoginRefusal,
  TOKEN_REQUEST,
  type TokenRequest,
} from '../registry/auth-api.ts';
import type { ErrorName } from '../registry/error.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import type { Authenticate } from './identity/authenticate.ts';
import type { LiveUsers } from './identity/live-users.ts';
import { passwordCredential } from './identity/password.ts';
import type { Users } from './identity/users-file.ts';
import { type GrantedScopes, grantScopes } from './token/grant-scopes.ts';
import { type IssuerOptions, issueToken } from './token/issue-token.ts';

/** What auth serves on its socket, to gateways alone. */
export interface AuthRooms {
  readonly authenticate: Authenticate;
  readonly users: LiveUsers;
  readonly policy: LivePolicy;
  readonly names: UpstreamNames;
  readonly issuer: IssuerOptions;
  readonly log: Logger;
}

/** The credential of whoever shows none. */
const ANONYMOUS_CREDENTIAL = 'anonymous';
const MAX_BODY = 128 * 1024;

interface Identified {
  readonly subject: Subject;
  readonly credential: string;
}

export function authApplication(rooms: AuthRooms): Koa {
  const app = new Koa();
  const credentials = inForce(rooms.users);
  // Koa's own handler would print to stderr; everything that reaches it is a fault of ours.
  app.silent = true;
  app.use(async (context) => {
    try {
      await answer(context, rooms, credentials);
    } catch (error) {
      rooms.log.error({ error: (error as Error).stack }, 'auth failed');
      refuse(context, 'INTERNAL');
    }
  });
  return app;
}

async function answer(
  context: Context,
  rooms: AuthRooms,
  credentials: () => CredentialsAnswer,
): Promise<void> {
  switch (`${context.method} ${context.path}`) {
    case 'POST /authenticate':
      return answerAuthenticate(context, rooms);
    case 'POST /token':
      return answerToken(context, rooms);
    case 'GET /keys':
      context.body = { keys: [rooms.issuer.key.jwk] };
      return;
    case 'GET /credentials':
      return answerCredentials(context, credentials);
    default:
      context.status = 404;
  }
}

async function answerAuthenticate(context: Context, { authenticate }: AuthRooms): Promise<void> {
  const { username, password } = LOGIN.parse(await readJson(context));
  const verdict = await authenticate(username, password);
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
  const { access, scope } = granted(request, identified.subject, rooms);
  const who = { subject: writeSubject(identified.subject), credential: identified.credential };
  const token = await issueToken({ ...who, access }, rooms.issuer);
  context.body = { ...who, token, expiresIn: rooms.issuer.lifetime / 1000, scope } satisfies IssuedToken;
}

/**
 * Who asks for a token. A classic dockerd sends its Docker Hub login to every mirror, so with a scope a login that is
 * unknown here is taken for none where the network alone is granted something; without a scope it is somebody who logs
 * in here, and is told.
 */
async function identify(request: TokenRequest, rooms: AuthRooms): Promise<Identified | LoginRefusal> {
  const nobody: Identified = { subject: ANONYMOUS, credential: ANONYMOUS_CREDENTIAL };
  if (request.login === null) return nobody;
  const verdict = await rooms.authenticate(request.login.username, request.login.password);
  if (verdict.kind === 'authenticated') return verdict;
  // Not yet judged is not unknown: somebody who may more would be given the token of nobody.
  if (verdict.kind === 'busy') return 'TOO_MANY_LOGINS';
  return granted(request, ANONYMOUS, rooms).access.length > 0 ? nobody : 'BAD_CREDENTIALS';
}

function granted(
  { scopes, address }: TokenRequest,
  subject: Subject,
  { policy, names }: AuthRooms,
): GrantedScopes {
  return grantScopes(scopes, { subject, address }, policy.current, names);
}

function answerCredentials(context: Context, credentials: () => CredentialsAnswer): void {
  const { etag, body } = credentials();
  context.set('etag', etag);
  if (context.get('if-none-match') === etag) context.status = 304;
  else context.body = body;
}

interface CredentialsAnswer {
  readonly etag: string;
  /** `Credentials` as JSON. */
  readonly body: string;
}

/** Every gateway asks several times a second, so the answer is put together only when the users have changed. */
function inForce(users: LiveUsers): () => CredentialsAnswer {
  let last: (CredentialsAnswer & { readonly of: Users }) | undefined;
  return () => {
    if (last?.of === users.current) return last;
    const credentials: Credentials = Object.fromEntries([
      ...[...users.current.values()].map(({ name, passwordHash }) => {
        return [passwordCredential(name, passwordHash), { subject: writeSubject({ kind: 'user', name }) }];
      }),
      [ANONYMOUS_CREDENTIAL, { subject: writeSubject(ANONYMOUS) }],
    ]);
    const body = JSON.stringify(credentials);
    last = { of: users.current, body, etag: `"${createHash('sha256').update(body).digest('base64url')}"` };
    return last;
  };
}

async function readJson(context: Context): Promise<unknown> {
  const body = await readBody(context.req, MAX_BODY);
  return JSON.parse(body?.toString('utf8') ?? '');
}

function refuse(context: Context, error: ErrorName): void {
  context.status = 400;
  context.body = { error };
}
