import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { z } from 'zod';
import { readRequestBody } from '../../platform/read-body.ts';
import type { LoginRefusal } from '../../protocol/auth-api.ts';
import type { LoginOptions } from '../identity/authenticate.ts';
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

export function refuseLogin(context: Context, error: LoginRefusal): void {
  context.status = 400;
  context.body = { error };
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
