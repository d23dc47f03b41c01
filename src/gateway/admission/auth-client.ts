import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { parseSubject, type Subject } from '../../access/subject.ts';
import { type HttpClient, type HttpRequest, openSocketClient } from '../../platform/http-client.ts';
import type { ErrorName } from '../../registry/error.ts';

/** The gateway's side of auth's socket. */
export interface AuthClient extends AsyncDisposable {
  authenticate(login: Login): Promise<Identity | LoginRefusal>;
  token(request: TokenRequest): Promise<IssuedToken | LoginRefusal>;
  keys(): Promise<JSONWebKeySet>;
  /** The subject of each credential in force, by the credential's id; undefined while they are those of `etag`. */
  credentials(etag: string | undefined): Promise<CredentialsInForce | undefined>;
}

export interface Login {
  readonly username: string;
  readonly password: string;
}

export interface TokenRequest {
  readonly login: Login | null;
  readonly scopes: readonly string[];
  readonly address: string;
}

export interface Identity {
  readonly subject: Subject;
  readonly credential: string;
}

export interface IssuedToken extends Identity {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
  readonly scope: string;
}

export interface LoginRefusal {
  readonly refused: Extract<ErrorName, 'BAD_CREDENTIALS' | 'TOO_MANY_LOGINS'>;
}

export interface CredentialsInForce {
  readonly etag: string;
  readonly subjects: ReadonlyMap<string, string>;
}

/** Hashing is slow on purpose, and others may be waiting; clients give up on a token after 15 s. */
const LOGIN_DEADLINE = 10_000;
const DEADLINE = 2_000;

const SUBJECT = z.string().transform((text, context): Subject => {
  const subject = parseSubject(text);
  if (subject !== undefined) return subject;
  context.addIssue({ code: 'custom', message: 'not a subject' });
  return z.NEVER;
});
const IDENTITY = z.object({ subject: SUBJECT, credential: z.string() });
const TOKEN = IDENTITY.extend({ token: z.string(), expiresIn: z.int(), scope: z.string() });
const REFUSAL = z.object({ error: z.enum(['BAD_CREDENTIALS', 'TOO_MANY_LOGINS']) });
const KEYS = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });
const SUBJECTS = z.record(z.string(), z.string());

export function openAuthClient(socket: string): AuthClient {
  return new SocketAuthClient(openSocketClient(socket));
}

class SocketAuthClient implements AuthClient {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  authenticate(login: Login): Promise<Identity | LoginRefusal> {
    return this.#post('/authenticate', login, IDENTITY);
  }

  token(request: TokenRequest): Promise<IssuedToken | LoginRefusal> {
    return this.#post('/token', request, TOKEN);
  }

  async keys(): Promise<JSONWebKeySet> {
    const { body } = await this.#get('/keys');
    return KEYS.parse(await body.json());
  }

  async credentials(etag: string | undefined): Promise<CredentialsInForce | undefined> {
    const { statusCode, headers, body } = await this.#get('/credentials', etag);
    if (statusCode === 304) {
      await body.dump();
      return undefined;
    }
    const subjects = SUBJECTS.parse(await body.json());
    return { etag: String(headers.etag), subjects: new Map(Object.entries(subjects)) };
  }

  #get(path: string, etag?: string) {
    const headers = etag === undefined ? {} : { 'if-none-match': etag };
    return this.#http.request({ method: 'GET', path, headers, deadline: DEADLINE });
  }

  async #post<T>(path: string, content: object, schema: z.ZodType<T>): Promise<T | LoginRefusal> {
    const request: HttpRequest = {
      method: 'POST',
      path,
      body: JSON.stringify(content),
      deadline: LOGIN_DEADLINE,
    };
    const { statusCode, body } = await this.#http.request(request);
    const answer = await body.json();
    return statusCode === 200 ? schema.parse(answer) : { refused: REFUSAL.parse(answer).error };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}
