import type { z } from 'zod';
import { askPeer, parseAnswer } from '../platform/ipc/ask-peer.ts';
import { type HttpClient, openSocketClient } from '../platform/ipc/http-client.ts';
import { ACCOUNT_REFUSAL, type AccountRefusal } from '../protocol/account-api.ts';
import { AUDIT_HEADER } from '../protocol/account-audit.ts';
import { AUTH_DEADLINE, AUTH_REQUEST_SIZE } from './limits.ts';

const PEER = 'auth';

/** The status with which auth refuses. */
const REFUSED = 400;

export type AuthAnswer<T, Refusal = AccountRefusal> = { readonly value: T } | { readonly refused: Refusal };

/** Thrown if a client has sent more than auth reads. */
export class TooLongForAuth extends Error {
  override readonly name = 'TooLongForAuth';
}

export interface AccountAuthClient {
  /**
   * @throws PeerUnreachable if auth does not answer
   * @throws PeerFailed if auth answers that it failed
   */
  ask<Schema extends z.ZodType>(
    path: string,
    request: object,
    schema: Schema,
  ): Promise<AuthAnswer<z.output<Schema>>>;
  /** Passes a request on. Resolves to undefined if auth does nothing of that kind. */
  pass<Schema extends z.ZodType>(
    path: string,
    request: object,
    schema: Schema,
  ): Promise<z.output<Schema> | undefined>;
  /** The same for an endpoint that has refusals of its own. */
  exchange<Schema extends z.ZodType, Refusal extends z.ZodType>(
    path: string,
    request: object,
    schemas: { readonly answer: Schema; readonly refusal: Refusal },
  ): Promise<AuthAnswer<z.output<Schema>, z.output<Refusal>>>;
}

export interface OpenedAuthClient extends AsyncDisposable {
  /**
   * Returns a client for one request of a browser. What auth decides in it is added to `decisions`, as the
   * words that a gateway reads.
   */
  forRequest(decisions: string[]): AccountAuthClient;
}

export function openAccountAuthClient(socket: string): OpenedAuthClient {
  const http: HttpClient = openSocketClient(socket);
  return {
    forRequest: (decisions) => clientFor(http, decisions),
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}

function clientFor(http: HttpClient, decisions: string[]): AccountAuthClient {
  const send = async (path: string, request: object) => {
    const body = JSON.stringify(request);
    if (Buffer.byteLength(body) > AUTH_REQUEST_SIZE) throw new TooLongForAuth();
    const answer = await askPeer(http, PEER, {
      ...{ method: 'POST', path, deadline: AUTH_DEADLINE, body },
      headers: { 'content-type': 'application/json' },
    });
    decisions.push(...[answer.headers[AUDIT_HEADER] ?? []].flat());
    return answer;
  };
  const exchange: AccountAuthClient['exchange'] = async (path, request, schemas) => {
    const answer = await send(path, request);
    return answer.statusCode === REFUSED
      ? { refused: parseAnswer(PEER, { ...answer, statusCode: 200 }, schemas.refusal) }
      : { value: parseAnswer(PEER, answer, schemas.answer) };
  };
  return {
    exchange,
    pass: async (path, request, schema) => {
      const answer = await send(path, request);
      return answer.statusCode === 404 ? undefined : parseAnswer(PEER, answer, schema);
    },
    ask: (path, request, answer) => exchange(path, request, { answer, refusal: ACCOUNT_REFUSAL }),
  };
}
