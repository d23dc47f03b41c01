/** Logins at identity providers: the way there, the way back, and a logout that the provider reports. */

import { DONE } from '../protocol/account-api.ts';
import { BEGUN_LOGIN, FINISHED_LOGIN } from '../protocol/login-api.ts';
import type { AccountRequest } from './account-request.ts';
import { type AccountAnswer, pageAnswer, redirectTo } from './answer.ts';
import type { AccountAuthClient } from './auth-client.ts';
import { endedLoginCookie, loginCookie, loginCookieIn, sessionCookie } from './cookies.ts';
import { REQUEST_LENGTHS } from './limits.ts';
import { loggedInPage } from './pages/logged-in.ts';
import { messagePage } from './pages/message.ts';
import { reasonsOf } from './reasons.ts';
import { parseReturnTo } from './return-to.ts';

export interface DirectoryLoginDependencies {
  readonly auth: AccountAuthClient;
  readonly mirror: { readonly host: string };
  readonly clock: () => number;
}

const PATH = /^\/account\/login\/([a-z0-9-]{1,63})(\/callback|\/logout)?$/;

/** Returns undefined if the request is for another page. */
export async function answerDirectoryLogin(
  request: AccountRequest,
  dependencies: DirectoryLoginDependencies,
): Promise<AccountAnswer | undefined> {
  const [, login, step = ''] = PATH.exec(request.path) ?? [];
  if (login === undefined) return undefined;
  if (step === '/logout') return request.method === 'POST' ? logOut(login, request, dependencies) : undefined;
  if (request.method !== 'GET') return undefined;
  return step === '/callback' ? finish(login, request, dependencies) : begin(login, request, dependencies);
}

async function begin(
  login: string,
  { query }: AccountRequest,
  { auth, mirror }: DirectoryLoginDependencies,
): Promise<AccountAnswer> {
  const returnTo = parseReturnTo(query.get('to'));
  const answer = await auth.ask('/login/begin', { login, returnTo }, BEGUN_LOGIN);
  if ('refused' in answer) return refused(answer.refused, mirror.host);
  return redirectTo(answer.value.location, [loginCookie(answer.value.state)]);
}

/**
 * Answers with a page that leads on, and not with a redirect: the browser comes from another site, and so it
 * would not send the cookie of the session, which is strict, to the place of a redirect.
 */
async function finish(
  login: string,
  { search: query, headers, address }: AccountRequest,
  { auth, mirror, clock }: DirectoryLoginDependencies,
): Promise<AccountAnswer> {
  const state = (loginCookieIn(headers.cookie) ?? '').slice(0, REQUEST_LENGTHS.pendingLogin);
  const answer = await auth.ask('/login/finish', { login, query, state, address }, FINISHED_LOGIN);
  if ('refused' in answer) return refused(answer.refused, mirror.host);
  const { session, expiresAt, user } = answer.value;
  const returnTo = parseReturnTo(answer.value.returnTo);
  const page = loggedInPage({ host: mirror.host, user, returnTo });
  return pageAnswer(page, 200, [sessionCookie(session, expiresAt, clock()), endedLoginCookie()]);
}

/** The provider sends it, so it comes from no page. */
async function logOut(
  login: string,
  { form }: AccountRequest,
  { auth }: DirectoryLoginDependencies,
): Promise<AccountAnswer> {
  const token = (form.get('logout_token') ?? '').slice(0, REQUEST_LENGTHS.logoutToken);
  const answer = await auth.ask('/login/logout', { login, logout_token: token }, DONE);
  return 'refused' in answer
    ? { status: 400, type: 'application/json', body: '{"error":"invalid_request"}' }
    : { status: 200 };
}

function refused(refusal: Parameters<typeof reasonsOf>[0], host: string): AccountAnswer {
  return pageAnswer(messagePage({ title: 'You are not logged in', host }, reasonsOf(refusal)), 403, [
    endedLoginCookie(),
  ]);
}
