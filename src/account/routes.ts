/**
 * The pages, by method and path. Each page that needs a login gets a session that auth has just confirmed.
 */
import { QueueFullError } from '../platform/scheduling/fair-queue.ts';
import { CREATED_SESSION, CREATED_TOKEN, DONE, OWN_TOKENS, SHOWN_SESSION } from '../protocol/account-api.ts';
import { LOGIN_LIST } from '../protocol/login-api.ts';
import { SCIM_PATH } from '../protocol/scim-api.ts';
import { type AccountRequest, csrfIn } from './account-request.ts';
import { type AccountAnswer, pageAnswer, redirectTo } from './answer.ts';
import { endedSessionCookie, sessionCookie } from './cookies.ts';
import { decideDeviceApproval, showDeviceApproval } from './device-approval.ts';
import { machineAnswer } from './device-grant.ts';
import { answerDirectoryLogin } from './directory-login.ts';
import { activityPage } from './pages/activity.ts';
import { connectPage } from './pages/connect.ts';
import { type LoginPage, loginPage } from './pages/login.ts';
import { messagePage } from './pages/message.ts';
import { overviewPage } from './pages/overview.ts';
import { passwordPage } from './pages/password.ts';
import { type TokensPage, type TypedToken, tokensPage } from './pages/tokens.ts';
import { reasonsOf } from './reasons.ts';
import { parseReturnTo } from './return-to.ts';
import { isSameOrigin } from './same-origin.ts';
import { answerScim } from './scim.ts';
import { SNIPPET_CLIENTS, type SnippetClient } from './snippets.ts';
import { STYLE } from './style.ts';
import type { AccountDependencies, Visit } from './visit.ts';

type Open = (request: AccountRequest, dependencies: AccountDependencies) => Promise<AccountAnswer>;
type Private = (visit: Visit, dependencies: AccountDependencies) => Promise<AccountAnswer>;

const OPEN: Readonly<Record<string, Open>> = {
  'GET /account': async () => redirectTo('/account/'),
  'GET /account/style.css': async () => ({ status: 200, type: 'text/css; charset=utf-8', body: STYLE }),
  'GET /account/login': showLogin,
  'POST /account/login': logIn,
};

const PRIVATE: Readonly<Record<string, Private>> = {
  'GET /account/': showOverview,
  'POST /account/logout': logOut,
  'GET /account/tokens': (visit, dependencies) => showTokens(visit, dependencies),
  'POST /account/tokens': createToken,
  'POST /account/tokens/revoke': revokeToken,
  'GET /account/password': async ({ user }, { mirror }) =>
    pageAnswer(passwordPage({ host: mirror.host, user })),
  'POST /account/password': setOwnPassword,
  'GET /account/activity': showActivity,
  'GET /account/device': showDeviceApproval,
  'POST /account/device/decide': decideDeviceApproval,
  'GET /account/connect': showConnect,
  'POST /account/connect': connectMachine,
};

/** Answers a request that a gateway has handed over. */
export async function answerAccount(
  request: AccountRequest,
  dependencies: AccountDependencies,
): Promise<AccountAnswer> {
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const key = `${method} ${request.path}`;
  const { host } = dependencies.mirror;
  if (request.path.startsWith(SCIM_PATH))
    return (await answerScim(request, dependencies.auth)) ?? notFound(host);
  const ofDirectory = await answerDirectoryLogin({ ...request, method }, dependencies);
  if (ofDirectory !== undefined) return ofDirectory;
  const forMachine = machineAnswer(key, request, dependencies.auth);
  if (forMachine !== undefined) return forMachine;
  // Nothing is done for a page of another site, whatever cookies it can make a browser send.
  if (method !== 'GET' && !isSameOrigin(request.headers))
    return pageAnswer(
      messagePage({ title: 'Not from this page', host }, [
        'Another site sent this request, so nothing was done. If you did: open the account page and do it there.',
      ]),
      403,
    );
  if (Object.hasOwn(OPEN, key)) return OPEN[key]?.(request, dependencies) ?? notFound(host);
  if (!Object.hasOwn(PRIVATE, key)) return notFound(host);
  const visit = await visitOf(request, dependencies);
  if (visit === undefined) return askToLogIn(request);
  return PRIVATE[key]?.(visit, dependencies) ?? notFound(host);
}

function notFound(host: string): AccountAnswer {
  return pageAnswer(messagePage({ title: 'There is no such page', host }, []), 404);
}

async function visitOf(request: AccountRequest, { auth }: AccountDependencies): Promise<Visit | undefined> {
  const { session } = request;
  if (session === undefined) return undefined;
  const answer = await auth.ask('/session/show', { session }, SHOWN_SESSION);
  if ('refused' in answer) return undefined;
  const { user, csrf, canChangePassword } = answer.value;
  return { request, session, shown: answer.value, user: { user, csrf, canChangePassword } };
}

function askToLogIn({ method, path, query }: AccountRequest): AccountAnswer {
  const search = query.size === 0 ? '' : `?${query}`;
  const returnTo = method === 'GET' ? parseReturnTo(path + search) : '/account/';
  return redirectTo(`/account/login?to=${encodeURIComponent(returnTo)}`, [endedSessionCookie()]);
}

async function showLogin(
  { query }: AccountRequest,
  { auth, mirror }: AccountDependencies,
): Promise<AccountAnswer> {
  const returnTo = parseReturnTo(query.get('to'));
  return pageAnswer(loginPage({ host: mirror.host, returnTo, links: await loginLinks(auth) }));
}

/** Returns a link for each identity provider that people can log in at. */
async function loginLinks(auth: AccountDependencies['auth']): Promise<LoginPage['links']> {
  const listed = await auth.ask('/login/list', {}, LOGIN_LIST);
  return 'refused' in listed ? [] : listed.value.logins.map((name) => ({ name }));
}

async function logIn(request: AccountRequest, dependencies: AccountDependencies): Promise<AccountAnswer> {
  const { form, address } = request;
  const { auth, mirror, clock } = dependencies;
  const returnTo = parseReturnTo(form.get('to'));
  const name = form.get('name') ?? '';
  const password = form.get('password') ?? '';
  const answer = await auth.ask('/session', { kind: 'password', name, password, address }, CREATED_SESSION);
  if ('refused' in answer) {
    const reasons = reasonsOf(answer.refused);
    const links = await loginLinks(auth);
    return pageAnswer(loginPage({ host: mirror.host, returnTo, links, reasons, name }), 403);
  }
  // The browser forgets the former session, so nobody else may use it either.
  const former = await visitOf(request, dependencies);
  if (former !== undefined) await end(former, dependencies);
  const { session, expiresAt } = answer.value;
  return redirectTo(returnTo, [sessionCookie(session, expiresAt, clock())]);
}

async function logOut(visit: Visit, dependencies: AccountDependencies): Promise<AccountAnswer> {
  const { auth, mirror } = dependencies;
  const proof = { session: visit.session, csrf: csrfIn(visit.request) };
  const answer = await auth.ask('/session/end', proof, DONE);
  if ('refused' in answer && answer.refused.error === 'BAD_CSRF')
    return pageAnswer(
      messagePage({ title: 'You are still logged in', host: mirror.host }, reasonsOf(answer.refused)),
      403,
    );
  return redirectTo('/account/login', [endedSessionCookie()]);
}

async function end({ session, user }: Visit, { auth }: AccountDependencies): Promise<void> {
  await auth.ask('/session/end', { session, csrf: user.csrf }, DONE);
}

async function showOverview(
  { session, shown, user }: Visit,
  { auth, mirror, clock }: AccountDependencies,
): Promise<AccountAnswer> {
  const answer = await auth.ask('/account/tokens', { session }, OWN_TOKENS);
  const tokens = 'refused' in answer ? [] : answer.value.tokens;
  const { login, expiresAt } = shown;
  return pageAnswer(overviewPage({ host: mirror.host, user, login, expiresAt, tokens, now: clock() }));
}

const DAY = 24 * 60 * 60_000;

async function showTokens(
  { session, shown, user }: Visit,
  { auth, mirror, clock }: AccountDependencies,
  more: Pick<TokensPage, 'reasons' | 'typed' | 'created'> = {},
): Promise<AccountAnswer> {
  const answer = await auth.ask('/account/tokens', { session }, OWN_TOKENS);
  const tokens = 'refused' in answer ? [] : answer.value.tokens;
  const longest = Math.max(1, Math.floor(shown.longestToken / DAY));
  const page = tokensPage({ host: mirror.host, user, tokens, longest, now: clock(), ...more });
  return pageAnswer(page, more.reasons === undefined ? 200 : 400);
}

async function createToken(visit: Visit, dependencies: AccountDependencies): Promise<AccountAnswer> {
  const { form } = visit.request;
  const text = (field: keyof TypedToken) => form.get(field) ?? '';
  const typed: TypedToken = {
    ...{ label: text('label'), days: text('days') },
    ...{ pull: text('pull'), push: text('push'), from: text('from') },
  };
  const created = await makeToken(visit, dependencies, typed);
  if ('refused' in created)
    return showTokens(visit, dependencies, { reasons: reasonsOf(created.refused), typed });
  return showTokens(visit, dependencies, { created: created.value });
}

function makeToken({ session, request }: Visit, { auth }: AccountDependencies, typed: TypedToken) {
  const { label, days, pull, push, from } = typed;
  const terms = { label, expires: `${days}d`, pull: listIn(pull), push: listIn(push), from: listIn(from) };
  const proof = { session, csrf: csrfIn(request) };
  return auth.ask('/account/tokens/create', { ...proof, ...terms }, CREATED_TOKEN);
}

/** Returns null if nothing is written. */
function listIn(text: string): readonly string[] | null {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return lines.length === 0 ? null : lines;
}

async function revokeToken(visit: Visit, dependencies: AccountDependencies): Promise<AccountAnswer> {
  const { session, request } = visit;
  const { form } = request;
  const revocation = { session, csrf: csrfIn(request), id: (form.get('id') ?? '').slice(0, 100) };
  const answer = await dependencies.auth.ask('/account/tokens/revoke', revocation, DONE);
  return 'refused' in answer
    ? showTokens(visit, dependencies, { reasons: reasonsOf(answer.refused) })
    : redirectTo('/account/tokens');
}

async function setOwnPassword(
  { session, request, user }: Visit,
  { auth, mirror, clock }: AccountDependencies,
): Promise<AccountAnswer> {
  const { form, address } = request;
  const { host } = mirror;
  const text = (field: string) => form.get(field) ?? '';
  if (text('password') !== text('again'))
    return pageAnswer(
      passwordPage({ host, user, reasons: ['The two new passwords are not the same.'] }),
      400,
    );
  const change = {
    session,
    csrf: csrfIn(request),
    current: text('current'),
    password: text('password'),
    address,
  };
  const answer = await auth.ask('/account/password', change, CREATED_SESSION);
  if ('refused' in answer)
    return pageAnswer(passwordPage({ host, user, reasons: reasonsOf(answer.refused) }), 400);
  const cookie = sessionCookie(answer.value.session, answer.value.expiresAt, clock());
  return redirectTo('/account/', [cookie]);
}

/** Somebody who had the name before made the requests of that time. */
async function showActivity(
  { request, user, shown }: Visit,
  { mirror, readActivity }: AccountDependencies,
): Promise<AccountAnswer> {
  const isRefusedOnly = request.query.get('only') === 'refused';
  const subject = `user:${user.user}`;
  const activity = await readActivity({ subject, isRefusedOnly, since: shown.namedAt }).catch(
    (error: unknown) => {
      if (error instanceof QueueFullError) return undefined;
      throw error;
    },
  );
  return pageAnswer(activityPage({ host: mirror.host, user, activity, isRefusedOnly }));
}

async function showConnect(
  { request, user }: Visit,
  { mirror }: AccountDependencies,
): Promise<AccountAnswer> {
  return pageAnswer(connectPage({ mirror, user, client: clientIn(request.query) }));
}

async function connectMachine(visit: Visit, dependencies: AccountDependencies): Promise<AccountAnswer> {
  const { request, shown, user } = visit;
  const { mirror } = dependencies;
  const client = clientIn(request.form);
  // Such a machine asks for its token itself.
  if (client.isApproved === true) return pageAnswer(connectPage({ mirror, user, client }));
  const days = String(Math.max(1, Math.min(90, Math.floor(shown.longestToken / DAY))));
  const label = request.form.get('label') ?? '';
  const created = await makeToken(visit, dependencies, { label, days, pull: '', push: '', from: '' });
  return 'refused' in created
    ? pageAnswer(connectPage({ mirror, user, client, reasons: reasonsOf(created.refused) }), 400)
    : pageAnswer(connectPage({ mirror, user, client, token: created.value.token }));
}

function clientIn(fields: URLSearchParams): SnippetClient {
  const name = fields.get('client');
  const client = SNIPPET_CLIENTS.find((one) => one.name === name) ?? SNIPPET_CLIENTS[0];
  if (client === undefined) throw new Error('there are no clients');
  return client;
}
