import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { readRequestBody } from '../platform/read-body.ts';
import { ADDRESS_HEADER } from '../protocol/account-page.ts';
import { sessionCookieIn } from './cookies.ts';
import { FORM_SIZE, REQUEST_LENGTHS } from './limits.ts';

/** A request that a gateway has handed over. */
export interface AccountRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The query as the client has written it, with its question mark; empty if there is none. */
  readonly search: string;
  readonly form: URLSearchParams;
  /** The body as text, whatever it is. */
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
  /** The client's address. */
  readonly address: string;
  /** The session that the browser presents, which may be over. */
  readonly session: string | undefined;
}

/** Returns undefined if the request is longer than a gateway hands over. */
export async function readAccountRequest(request: IncomingMessage): Promise<AccountRequest | undefined> {
  const { method = 'GET', url = '/', headers } = request;
  if (url.length > REQUEST_LENGTHS.target) return undefined;
  const body = await readRequestBody(request, FORM_SIZE);
  if (body === undefined) return undefined;
  const address = headers[ADDRESS_HEADER];
  const text = body.toString('utf8');
  const end = url.indexOf('?');
  const search = end === -1 ? '' : url.slice(end);
  return {
    ...{ method, path: end === -1 ? url : url.slice(0, end), headers },
    search,
    query: new URLSearchParams(search),
    form: new URLSearchParams(isForm(headers) ? text : ''),
    text,
    address: typeof address === 'string' ? address : '',
    session: sessionCookieIn(headers.cookie),
  };
}

/** Returns the CSRF token of a form. A text that is longer than every token becomes one that is wrong. */
export function csrfIn({ form }: Pick<AccountRequest, 'form'>): string {
  return (form.get('csrf') ?? '').slice(0, REQUEST_LENGTHS.csrf);
}

/** The only form that browsers send without a program or a file. */
function isForm({ 'content-type': type = '' }: IncomingHttpHeaders): boolean {
  return type.toLowerCase().startsWith('application/x-www-form-urlencoded');
}
