import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';
import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import { readBody } from '../../platform/read-body.ts';
import type { AuditLine } from '../../protocol/audit-line.ts';
import type { TokenRequest } from '../../protocol/auth-api.ts';
import { ERRORS } from '../../registry/error.ts';
import { boundScopes, splitScopes } from '../../registry/scope.ts';
import type { Audit } from '../audit/audit.ts';
import { boundLogin, parseAuthorization } from '../authentication/authorization-header.ts';
import { certificateFaultText } from '../authentication/certificate-fault.ts';
import type { IdentifyByCertificate } from '../authentication/client-certificate.ts';
import type { AuthClient, ClientToken, RefusedLogin } from '../clients/auth-client.ts';
import { type AddressOf, addressKey } from '../http/client-address.ts';
import { refuse } from '../http/respond.ts';
import { ClientGone } from '../http/response-body.ts';
import { LOGIN_LENGTHS, TOKEN_REQUESTS } from '../limits.ts';
import { refuseUnreadBody } from './refuse-unread-body.ts';

export interface TokenEndpointDependencies {
  readonly auth: AuthClient;
  readonly addressOf: AddressOf;
  readonly byCertificate: IdentifyByCertificate;
  readonly audit: Audit;
}

/**
 * The endpoint of the token specification: a GET with Basic, or the OAuth2 POST. Both request the same. A 401
 * from here has no challenge, because it could only name this endpoint again.
 */
export async function answerToken(context: Context, dependencies: TokenEndpointDependencies): Promise<void> {
  const started = performance.now();
  const address = dependencies.addressOf(context.req);
  const parameters = await readParameters(context);
  if (parameters === undefined) {
    return refuseUnreadBody(context, TOO_LONG);
  }
  const presented = parseCredentials(context.headers.authorization, parameters);
  if (presented === undefined) {
    return refuse(context.res, {
      error: 'BAD_REQUEST',
      message: 'the grant types are password, refresh_token, and none at all',
    });
  }
  const scopes = boundScopes(splitScopes(parameters.getAll('scope')));
  const { socket } = context.req;
  const certificate = dependencies.byCertificate(socket);
  const offline = offlineClient(parameters);
  const client = { share: addressKey(address), signal: context.req.signal };
  const answer = await dependencies.auth.token(
    { ...presented, certificate, offline, scopes, address },
    client,
  );
  if ('refused' in answer) {
    const fault = certificate === undefined ? dependencies.byCertificate.faultOf(socket) : undefined;
    refuse(context.res, {
      error: answer.refused,
      ...(answer.message !== undefined && { message: answer.message }),
      ...(fault !== undefined &&
        answer.refused === 'BAD_CREDENTIALS' && {
          message: `${ERRORS.BAD_CREDENTIALS.message}; ${certificateFaultText(fault)}`,
        }),
      ...(answer.refused === 'TOO_MANY_LOGINS' && { retryAfter: 1 }),
    });
  } else {
    sendToken(context.res, answer);
  }
  const agent = context.req.headers['user-agent'];
  dependencies.audit({
    action: 'token',
    ...whoFrom(answer),
    address,
    ...(agent && { agent }),
    method: context.method,
    status: context.res.statusCode,
    milliseconds: Math.round(performance.now() - started),
  });
}

const TOO_LONG = { error: 'BAD_REQUEST', message: 'the form is longer than 64 KiB' } as const;

/** The name of a refused login is not recorded, because it can be a mistyped password. */
function whoFrom(
  answer: ClientToken | RefusedLogin,
): Pick<AuditLine, 'subject' | 'credential' | 'scope' | 'decision'> {
  if ('refused' in answer) return { subject: formatSubject(ANONYMOUS), decision: 'deny' };
  const { subject, credential, scope } = answer;
  return { subject: formatSubject(subject), credential, scope, decision: 'allow' };
}

async function readParameters(context: Context): Promise<URLSearchParams | undefined> {
  if (context.method !== 'POST') return new URLSearchParams(context.querystring);
  // The connection must stay open, because the client reads the refusal of a form that is too long.
  const chunks = context.req.iterator({ destroyOnReturn: false });
  const body = await readBody(chunks, TOKEN_REQUESTS.maxBody).catch(() => {
    throw new ClientGone();
  });
  return body === undefined ? undefined : new URLSearchParams(body.toString('utf8'));
}

/**
 * Returns undefined if the credentials have an unknown form. If both values are null, there are no
 * credentials. A header counts before a form, because containerd sends both if a static header is configured
 * beside other credentials.
 */
function parseCredentials(
  authorization: string | undefined,
  parameters: URLSearchParams,
): TokenCredentials | undefined {
  const presented = parseAuthorization(authorization);
  if (presented.kind === 'login') return { login: presented.login, refreshToken: null };
  // A header that is not a login counts as a wrong login.
  if (presented.kind !== 'nothing') return { login: { username: '', password: '' }, refreshToken: null };
  const grantType = parameters.get('grant_type');
  if (grantType === null) return { login: null, refreshToken: null };
  const refreshToken = parameters.get('refresh_token');
  if (grantType === 'refresh_token' && refreshToken !== null)
    return { login: null, refreshToken: refreshToken.length > LOGIN_LENGTHS.secret ? '' : refreshToken };
  const username = parameters.get('username');
  const password = parameters.get('password');
  return grantType === 'password' && username !== null && password !== null
    ? { login: boundLogin({ username, password }), refreshToken: null }
    : undefined;
}

type TokenCredentials = Pick<TokenRequest, 'login' | 'refreshToken'>;

/**
 * Returns the name of the client if it wants a refresh token. In a GET that is docker's `offline_token`, in a
 * POST OAuth2's `access_type`.
 */
function offlineClient(parameters: URLSearchParams): string | null {
  const isWanted = parameters.get('offline_token') === 'true' || parameters.get('access_type') === 'offline';
  return isWanted ? (parameters.get('client_id') ?? '').slice(0, TOKEN_REQUESTS.maxClientId) : null;
}

/**
 * Sends no `issued_at`, because clients compare it with their own clocks. The answer bypasses Koa's body, as
 * that of a pull does: Koa would determine its type and its length again.
 */
function sendToken(response: ServerResponse, { token, expiresIn, scope, refreshToken }: ClientToken): void {
  const body = JSON.stringify({
    ...{ token, access_token: token, expires_in: expiresIn, scope },
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
  });
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
