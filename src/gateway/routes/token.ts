import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';
import { ANONYMOUS, writeSubject } from '../../access/subject.ts';
import { readBody } from '../../platform/read-body.ts';
import type { Login } from '../../registry/auth-api.ts';
import { splitScopes } from '../../registry/scope.ts';
import type { AuthClient, IssuedToken, Refused } from '../admission/auth-client.ts';
import { readShown } from '../admission/shown.ts';
import type { Audit, AuditLine } from '../audit/audit.ts';
import { refuse } from '../http/respond.ts';
import { ClientGone } from '../http/response-body.ts';

export interface TokenRooms {
  readonly auth: AuthClient;
  readonly audit: Audit;
}

const MAX_BODY = 64 * 1024;

/**
 * The token specification's endpoint: GET with Basic, and the OAuth2 POST. Both ask for the same. There is no challenge
 * in a 401 from here, for it could only name this endpoint again.
 */
export async function answerToken(context: Context, rooms: TokenRooms): Promise<void> {
  const started = performance.now();
  context.respond = false;
  const parameters = await readParameters(context);
  const login = parameters && readLogin(context.headers.authorization, parameters);
  if (parameters === undefined || login === undefined) {
    return refuse(context.res, {
      error: 'BAD_REQUEST',
      message: 'the grant types are password, and none at all',
    });
  }
  const scopes = splitScopes(parameters.getAll('scope'));
  const address = context.req.socket.remoteAddress ?? '';
  const answer = await rooms.auth.token({ login, scopes, address });
  if ('refused' in answer) {
    refuse(context.res, {
      error: answer.refused,
      ...(answer.refused === 'TOO_MANY_LOGINS' && { retryAfter: 1 }),
    });
  } else {
    sendToken(context.res, answer);
  }
  rooms.audit({
    action: 'token',
    ...whoFrom(answer),
    address,
    agent: context.get('user-agent'),
    method: context.method,
    status: context.res.statusCode,
    milliseconds: Math.round(performance.now() - started),
  });
}

/** The name that a refused login gave is not written down: it can be a mistyped password. */
function whoFrom(
  answer: IssuedToken | Refused,
): Pick<AuditLine, 'subject' | 'credential' | 'scope' | 'decision'> {
  if ('refused' in answer) return { subject: writeSubject(ANONYMOUS), decision: 'deny' };
  const { subject, credential, scope } = answer;
  return { subject: writeSubject(subject), credential, scope, decision: 'allow' };
}

async function readParameters(context: Context): Promise<URLSearchParams | undefined> {
  if (context.method !== 'POST') return new URLSearchParams(context.querystring);
  const body = await readBody(context.req, MAX_BODY).catch(() => {
    throw new ClientGone();
  });
  return body === undefined ? undefined : new URLSearchParams(body.toString('utf8'));
}

/**
 * Null: nobody logs in. Undefined: in a way that is not known. A header counts before a form, because containerd sends
 * both where a static header is configured beside other credentials.
 */
function readLogin(authorization: string | undefined, parameters: URLSearchParams): Login | null | undefined {
  const shown = readShown(authorization);
  if (shown.kind === 'login') return shown.login;
  // What is no login is a wrong one.
  if (shown.kind !== 'nothing') return { username: '', password: '' };
  const grantType = parameters.get('grant_type');
  if (grantType === null) return null;
  const username = parameters.get('username');
  const password = parameters.get('password');
  return grantType === 'password' && username !== null && password !== null
    ? { username, password }
    : undefined;
}

/** No `issued_at`: clients measure it against their own clocks. No `refresh_token`: docker would store it. */
function sendToken(response: ServerResponse, { token, expiresIn, scope }: IssuedToken): void {
  const body = JSON.stringify({ token, access_token: token, expires_in: expiresIn, scope });
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
