import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { z } from 'zod';
import { readRequestBody } from '../../platform/read-body.ts';
import type { Refusal } from '../../protocol/auth-api.ts';
import type { LoginOptions, Verdict } from '../identity/authenticate.ts';
import { REQUEST_SIZE } from '../limits.ts';

/** Thrown if a request is not one that a gateway sends. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

/** Reads the body of a request.
 *
 * @throws BadRequest if the body has not the form that a gateway sends
 */
export async function readJson<Schema extends z.ZodType>(
  context: Context,
  schema: Schema,
): Promise<z.output<Schema>> {
  const body = await readRequestBody(context.req, REQUEST_SIZE);
  if (body === undefined) throw new BadRequest(`a request is longer than ${REQUEST_SIZE} bytes`);
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

/** Koa would look up the type of an object's JSON for each answer. */
export function answerJson(context: Context, content: object): void {
  context.set('content-type', 'application/json; charset=utf-8');
  context.body = JSON.stringify(content);
}

export function refuseLogin(context: Context, refusal: Refusal): void {
  context.status = 400;
  context.body = refusal;
}

/** Returns how a login is refused. `url` is the one that people open in a browser. */
export function loginRefusalOf(verdict: Exclude<Verdict, { kind: 'authenticated' }>, url: string): Refusal {
  switch (verdict.kind) {
    case 'busy':
      return { error: 'TOO_MANY_LOGINS' };
    case 'suspended':
      return {
        error: 'UNCONFIRMED_LOGIN',
        message: `your login at ${verdict.login} must be confirmed: open ${url}/account/`,
      };
    case 'unavailable':
      return {
        error: 'DIRECTORY_UNAVAILABLE',
        message: `the directory ${verdict.login} does not answer; try again shortly`,
      };
    case 'wrong':
      return { error: 'BAD_CREDENTIALS' };
  }
}

/**
 * The options of a login that came with a request. They are made when they are read, because most logins need
 * none.
 */
export class RequestedLogin implements LoginOptions {
  readonly #request: IncomingMessage;
  readonly #isStray: () => boolean;

  constructor(request: IncomingMessage, isStray: () => boolean) {
    this.#request = request;
    this.#isStray = isStray;
  }

  get isStray(): boolean {
    return this.#isStray();
  }

  /** The gateway ends its request when the client has gone. */
  get signal(): AbortSignal {
    return this.#request.signal;
  }
}
