import type { Deadline } from '../../platform/scheduling/deadline.ts';
import { throwIfNobodyWaits } from '../../platform/scheduling/waiters.ts';
import type { Session } from './account.ts';
import { apiRoot } from './api-url.ts';
import type { Authorization, AuthorizationHeader, UpstreamChallenges } from './authorization.ts';
import { discard, type Transport, type UpstreamRequest } from './transport.ts';
import type { UpstreamIdentity, UpstreamOptions } from './upstream.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import { type UpstreamResult, unavailable } from './upstream-result.ts';

/** The session, the scope and the identity that a request is authorized with, and its deadline. */
export interface AuthorizeWith {
  readonly session: Session;
  readonly scope: string;
  readonly as: UpstreamIdentity;
  readonly deadline: Deadline;
}

/**
 * Sends a request with the header that the upstream wants. With Basic it finds out whether a refusal concerns
 * the credential, and reports to the session whether the upstream accepts it.
 */
export async function sendAuthorized(
  transport: Transport,
  request: UpstreamRequest,
  auth: AuthorizeWith,
): Promise<UpstreamResult<UpstreamResponse>> {
  const { session, as } = auth;
  const { authorization } = session;
  const answer = await sendWithHeader(transport, request, auth);
  if (as === 'anonymous' || !authorization.isBasic || answer.kind !== 'ok' || answer.value.redirected)
    return answer;
  const { statusCode: status } = answer.value;
  if (status < 400) session.judged('accepted');
  if (!mayBeOfLogin(status, request.upstream)) return answer;
  // With Basic a 401 can concern the repository or the credential. The root of the API is open to everybody
  // who may log in.
  const { upstream, signal, onSend } = request;
  const root = { method: 'GET', url: apiRoot(upstream.url), upstream, signal, onSend } as const;
  const asked =
    request.url.pathname === root.url.pathname
      ? answer
      : await sendWithHeader(transport, root, { ...auth, scope: '' });
  if (asked.kind === 'ok') discard(asked.value);
  if (asked.kind !== 'ok' || !mayBeOfLogin(asked.value.statusCode, upstream)) return answer;
  discard(answer.value);
  session.judged('refused');
  return unavailable('credential', `${request.url.host} refuses the configured credential`);
}

/** Sends with the header that the upstream wants, and once more if the upstream refuses that one. */
async function sendWithHeader(
  transport: Transport,
  request: UpstreamRequest,
  { session: { authorization }, scope, as, deadline }: AuthorizeWith,
): Promise<UpstreamResult<UpstreamResponse>> {
  const question = { scope, as, onSend: request.onSend };
  const first = await deadline.bound(authorization.header(question));
  if (first.kind !== 'ok') return first;
  throwIfNobodyWaits();
  const authorizeElsewhere = (refusal: UpstreamResponse) =>
    authorization.headerElsewhere(challengeIn(refusal), request.onSend);
  const asked = { ...request, authorizeElsewhere };
  const answer = await transport.send(withAuthorization(asked, first.value));
  if (!isUnauthorized(answer)) return answer;
  const second = await deadline.bound(authorization.retry(challengeIn(answer.value), question, first.value));
  const header = second.kind === 'ok' ? second.value : first.value;
  if (header === undefined) return answer;
  discard(answer.value);
  if (second.kind !== 'ok') return second;
  throwIfNobodyWaits();
  const last = await transport.send(withAuthorization(asked, header));
  return isUnauthorized(last) ? (tokenTrouble(authorization, last.value, header) ?? last) : last;
}

/** Returns why the token that was sent is refused, if the refusal says nothing about the repository. */
function tokenTrouble(
  authorization: Authorization,
  refusal: UpstreamResponse,
  header: AuthorizationHeader,
): ReturnType<Authorization['tokenTrouble']> {
  const trouble = authorization.tokenTrouble(challengeIn(refusal), header);
  if (trouble !== undefined) discard(refusal);
  return trouble;
}

function isUnauthorized(
  answer: UpstreamResult<UpstreamResponse>,
): answer is { readonly kind: 'ok'; readonly value: UpstreamResponse } {
  return answer.kind === 'ok' && answer.value.statusCode === 401 && !answer.value.redirected;
}

function challengeIn({ headers }: UpstreamResponse): UpstreamChallenges {
  return headers['www-authenticate'];
}

/**
 * True if a status may mean that the login is invalid, rather than say something about the repository. ECR
 * answers 403 to a login that has ended: https://github.com/docker/docker-py/issues/1170
 */
function mayBeOfLogin(status: number, { credential }: UpstreamOptions): boolean {
  return status === 401 || (status === 403 && credential !== undefined && 'helper' in credential);
}

function withAuthorization(request: UpstreamRequest, header: AuthorizationHeader): UpstreamRequest {
  return header.value === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization: header.value } };
}
