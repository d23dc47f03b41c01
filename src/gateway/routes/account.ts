/**
 * Hands requests for the account page over to the role that renders it. Only what is named here crosses, in
 * either direction, so the page sees no credential of a client, and cannot weaken what browsers enforce.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Context, Next } from 'koa';
import { PeerFailed } from '../../platform/ipc/ask-peer.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import type { TextAnswer } from '../../platform/ipc/text-exchange.ts';
import type { Logger } from '../../platform/log.ts';
import { readBody } from '../../platform/read-body.ts';
import { QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import { AUDIT_HEADER, parseAccountDecisions } from '../../protocol/account-audit.ts';
import {
  ACCOUNT_PATH,
  ADDRESS_HEADER,
  ANSWERED_HEADERS,
  HANDED_HEADERS,
  LOGIN_COOKIE,
  SESSION_COOKIE,
} from '../../protocol/account-page.ts';
import { SCIM_METHODS, SCIM_PATH } from '../../protocol/scim-api.ts';
import type { Audit } from '../audit/audit.ts';
import type { AccountClient } from '../clients/account-client.ts';
import { type AddressOf, addressKey } from '../http/client-address.ts';
import { endEarly } from '../http/early-refusal.ts';
import { ClientGone } from '../http/response-body.ts';
import { ACCOUNT_REQUESTS } from '../limits.ts';

export interface AccountPageDependencies {
  readonly account: AccountClient;
  readonly addressOf: AddressOf;
  readonly audit: Audit;
  readonly log: Logger;
}

/** True for the path of the page, and for everything below it. */
export function isAccountTarget(url = ''): boolean {
  return url.startsWith(ACCOUNT_PATH) && /^(?:[/?]|$)/.test(url.slice(ACCOUNT_PATH.length));
}

/** The headers that browsers enforce on every answer, whatever the page says. */
const ENFORCED = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export async function handOverAccount(
  context: Context,
  dependencies: AccountPageDependencies,
): Promise<void> {
  // The response is written here, because Koa would determine its type and length again.
  context.respond = false;
  const { req: request, res: response } = context;
  const isScim = request.url?.startsWith(SCIM_PATH) ?? false;
  const method = handedMethod(context.method, isScim);
  if (method === undefined) return sendText(response, 405, 'This page knows no such method.\n');
  const chunks = request.iterator({ destroyOnReturn: false });
  const body = await readBody(chunks, ACCOUNT_REQUESTS.maxBody).catch(() => {
    throw new ClientGone();
  });
  const text = body?.toString('utf8');
  // Each byte that is no UTF-8 becomes three, and the page ends the connection of a longer body.
  const isTooLong = text === undefined || Buffer.byteLength(text) > ACCOUNT_REQUESTS.maxBody;
  if (isTooLong) {
    // The client reads the refusal only if the rest of its form is not answered by a reset.
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(413, { ...PLAIN_TEXT, ...ENFORCED });
    response.write('This form is too long.\n');
    return endEarly(request, response);
  }
  const started = performance.now();
  const { account, addressOf, log } = dependencies;
  const address = addressOf(request);
  try {
    const answer = await account.handOver({
      method,
      path: request.url ?? ACCOUNT_PATH,
      headers: { ...handedHeaders(request.headers, isScim), [ADDRESS_HEADER]: address },
      ...(text !== '' && { body: text }),
      share: addressKey(address),
      signal: request.signal,
    });
    recordDecisions(answer, { request, address, started }, dependencies);
    passOn(answer, response, isScim);
  } catch (error) {
    if (error instanceof QueueFullError) return sendText(response, 503, BUSY);
    if (!(error instanceof PeerUnreachable) && !(error instanceof PeerFailed)) throw error;
    log.warn({ reason: error.message }, 'the account page does not answer');
    sendText(response, 503, DOWN);
  }
}

interface AccountRequestFacts {
  readonly request: IncomingMessage;
  readonly address: string;
  readonly started: number;
}

/** Writes the audit lines of what auth has decided. The page only carries them. */
function recordDecisions(
  { headers, statusCode: status }: TextAnswer,
  { request, address, started }: AccountRequestFacts,
  { audit, log }: Pick<AccountPageDependencies, 'audit' | 'log'>,
): void {
  const agent = request.headers['user-agent'];
  const caller = { address, ...(agent !== undefined && { agent }), method: request.method ?? '' };
  const { decisions, unknownFields, unreadable } = parseAccountDecisions(headers[AUDIT_HEADER]);
  for (const decision of decisions) {
    const milliseconds = Math.round(performance.now() - started);
    audit({ ...decision, ...caller, status, milliseconds });
  }
  if (unknownFields.length > 0)
    log.warn({ fields: unknownFields }, 'auth names fields that the audit log of this version does not have');
  if (unreadable === 0) return;
  log.error({ lines: unreadable }, 'the account page says something that cannot be recorded');
  audit.lose(unreadable);
}

const PLAIN_TEXT = { 'content-type': 'text/plain; charset=utf-8' };
const METHODS: Readonly<Record<string, 'GET' | 'POST'>> = { GET: 'GET', HEAD: 'GET', POST: 'POST' };
const BUSY = 'Too many requests for the account page at the moment. Try again in a minute.\n';
const DOWN =
  'The account page does not answer at the moment. Pulls are not affected. Try again in a minute.\n';

/**
 * Returns undefined if there is no such method there. Only programs that speak SCIM use others than browsers
 * do.
 */
function handedMethod(method: string, isScim: boolean) {
  return isScim ? SCIM_METHODS.find((one) => one === method) : METHODS[method];
}

/** Pages get no login. SCIM gets nothing else, so a browser is nobody there. */
function handedHeaders(headers: IncomingHttpHeaders, isScim: boolean): Record<string, string> {
  const { authorization } = headers;
  if (isScim) return authorization === undefined ? {} : { authorization };
  const handed: Record<string, string> = {};
  for (const name of HANDED_HEADERS) {
    const value = headers[name];
    if (typeof value === 'string') handed[name] = value;
  }
  const cookies = ownCookies(headers.cookie);
  return cookies === '' ? handed : { ...handed, cookie: cookies };
}

function ownCookies(cookies = ''): string {
  return cookies
    .split(';')
    .map((one) => one.trim())
    .filter(isOwnCookie)
    .join('; ');
}

function isOwnCookie(cookie: string): boolean {
  return [SESSION_COOKIE, LOGIN_COOKIE].some((name) => cookie.startsWith(`${name}=`));
}

function passOn({ statusCode, headers, text }: TextAnswer, response: ServerResponse, isScim: boolean): void {
  const passed: Record<string, string | string[]> =
    isScim && statusCode === 401 ? { 'www-authenticate': 'Bearer' } : {};
  for (const name of ANSWERED_HEADERS) {
    const value = headers[name];
    if (value !== undefined)
      passed[name] = name === 'set-cookie' ? [value].flat().filter(isOwnCookie) : value;
  }
  response.writeHead(statusCode, { ...passed, ...ENFORCED, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...PLAIN_TEXT, ...ENFORCED, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/**
 * A person who types the mirror's name into a browser wants the account page. No registry client asks for
 * HTML.
 */
export async function redirectBrowsers(context: Context, next: Next): Promise<unknown> {
  if (!(context.headers.accept ?? '').includes('text/html')) return next();
  context.status = 303;
  context.set('location', `${ACCOUNT_PATH}/`);
  context.body = '';
  return undefined;
}
