import { randomUUID } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import type { z } from 'zod';
import type { Policy } from '../../access/policy.ts';
import type { Principal } from '../../access/principal.ts';
import { deserializingPolicy } from '../../access/serialized-policy.ts';
import { formatSubject, parseSubject } from '../../access/subject.ts';
import { askPeer, PeerFailed, parseAnswer } from '../../platform/ipc/ask-peer.ts';
import {
  type HttpClient,
  type HttpRequest,
  openSocketClient,
  PeerUnreachable,
} from '../../platform/ipc/http-client.ts';
import {
  type LongPoll,
  type LongPollOptions,
  longPoll,
  type TaggedValue,
} from '../../platform/ipc/long-poll-client.ts';
import type { TextAnswer } from '../../platform/ipc/text-exchange.ts';
import { METRICS_SNAPSHOT, type MetricsSnapshot } from '../../platform/metrics.ts';
import { runInSlices } from '../../platform/scheduling/time-slicing.ts';
import {
  AUTH_STATUS,
  type AuthenticateRequest,
  type AuthStatus,
  ISSUED_TOKEN,
  KEYS,
  type LoginRefusal,
  REFUSAL,
  SERIALIZED_IDENTITY,
  type TokenRequest,
  type SerializedIdentity as WrittenIdentity,
} from '../../protocol/auth-api.ts';
import { type CredentialSnapshot, parsingCredentials } from '../authentication/credential-snapshot.ts';
import type { ClientAddress } from '../http/client-address.ts';
import { AUTH_REQUESTS, GATEWAY_LIMITS } from '../limits.ts';

/**
 * The gateway's client for auth's socket. Each call rejects with `PeerUnreachable` if auth does not answer,
 * and with `PeerFailed` if auth answers that it failed.
 */
export interface AuthClient extends AsyncDisposable {
  authenticate(request: LoginRequest, client: RequestingClient): Promise<Principal | RefusedLogin>;
  token(request: ClientTokenRequest, client: RequestingClient): Promise<ClientToken | RefusedLogin>;
  readonly keys: LongPoll<JSONWebKeySet>;
  /** Reads the same keys once, for one client. */
  keysFor(client: RequestingClient): Promise<JSONWebKeySet>;
  readonly credentials: LongPoll<CredentialSnapshot>;
  readonly policy: LongPoll<Policy>;
  status(): Promise<AuthStatus>;
  /** Resolves when auth, which may just be starting, answers. Rejects if it does not within ten seconds. */
  answers(): Promise<void>;
  /** Reads the metrics of auth. */
  metrics(): Promise<MetricsSnapshot>;
}

/**
 * The client for which the gateway asks auth. A call throws the errors of `HttpClient` if there is no place
 * for the client, or if it has gone.
 */
export type RequestingClient = Required<Pick<HttpRequest, 'share' | 'signal'>>;

export type LoginRequest = AuthenticateRequest & { readonly address: ClientAddress };

export type ClientTokenRequest = Omit<TokenRequest, 'certificate'> & {
  readonly address: ClientAddress;
  /** The subject of the verified client certificate. */
  readonly certificate: Principal | undefined;
};

export interface ClientToken extends Principal {
  readonly token: string;
  /** The lifetime in seconds. */
  readonly expiresIn: number;
  readonly scope: string;
  readonly refreshToken?: string | undefined;
}

export interface RefusedLogin {
  readonly refused: LoginRefusal;
  /** Replaces the usual message of the refusal. */
  readonly message?: string | undefined;
}

/** The name of the other side in errors and in the log. */
const PEER = 'auth';
/** The status with which auth refuses a login. */
const REFUSED = 400;

export function openAuthClient(socket: string, questions = GATEWAY_LIMITS.authQuestions): AuthClient {
  return new SocketAuthClient(openSocketClient(socket, questions));
}

class SocketAuthClient implements AuthClient {
  readonly #http: HttpClient;
  /** The name by which auth knows which gateways have its last answer. */
  readonly #name = randomUUID();

  constructor(http: HttpClient) {
    this.#http = http;
  }

  authenticate(request: LoginRequest, client: RequestingClient): Promise<Principal | RefusedLogin> {
    return this.#post('/authenticate', request, client, SERIALIZED_IDENTITY);
  }

  token(request: ClientTokenRequest, client: RequestingClient): Promise<ClientToken | RefusedLogin> {
    const { certificate } = request;
    const certified = certificate && {
      subject: formatSubject(certificate.subject),
      credential: certificate.credential,
    };
    const content: TokenRequest = { ...request, certificate: certified ?? null };
    return this.#post('/token', content, client, ISSUED_TOKEN);
  }

  keys(options: LongPollOptions): Promise<TaggedValue<JSONWebKeySet> | undefined> {
    return this.#tagged('/keys', options, (body) => KEYS.parse(JSON.parse(body)));
  }

  keysFor(client: RequestingClient): Promise<JSONWebKeySet> {
    return this.#get('/keys', KEYS, client);
  }

  credentials(options: LongPollOptions): Promise<TaggedValue<CredentialSnapshot> | undefined> {
    const read = (body: string) => runInSlices(parsingCredentials(body));
    return longPoll(
      this.#http,
      { peer: PEER, path: '/credentials', read, longestWait: AUTH_REQUESTS.signOfLife, follower: this.#name },
      options,
    );
  }

  policy(options: LongPollOptions): Promise<TaggedValue<Policy> | undefined> {
    return this.#tagged('/policy', options, (body) => runInSlices(deserializingPolicy(body)));
  }

  async status(pause?: number): Promise<AuthStatus> {
    return this.#get('/status', AUTH_STATUS, pause === undefined ? {} : { pause });
  }

  async answers(): Promise<void> {
    const end = performance.now() + AUTH_REQUESTS.startPatience;
    for (;;) {
      try {
        await this.status(AUTH_REQUESTS.startPause);
        return;
      } catch (error) {
        if (!(error instanceof PeerUnreachable) || performance.now() > end) throw error;
      }
    }
  }

  async metrics(): Promise<MetricsSnapshot> {
    return this.#get('/metrics', METRICS_SNAPSHOT);
  }

  #tagged<T>(
    path: string,
    options: LongPollOptions,
    read: (body: string) => T | Promise<T>,
  ): Promise<TaggedValue<T> | undefined> {
    return longPoll(this.#http, { peer: PEER, path, read }, options);
  }

  async #get<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    more: Partial<HttpRequest> = {},
  ): Promise<z.output<Schema>> {
    const answer = await askPeer(this.#http, PEER, {
      method: 'GET',
      path,
      deadline: AUTH_REQUESTS.deadline,
      ...more,
    });
    return parseAnswer(PEER, answer, schema);
  }

  async #post<Schema extends z.ZodType<WrittenIdentity>>(
    path: string,
    content: object,
    client: RequestingClient,
    schema: Schema,
  ): Promise<(Omit<z.output<Schema>, 'subject'> & Principal) | RefusedLogin> {
    const body = JSON.stringify(content);
    const request: HttpRequest = {
      ...{ method: 'POST', path, body, deadline: AUTH_REQUESTS.login, ...client },
      restAfter: restAfterRefusal,
    };
    const answer = await askPeer(this.#http, PEER, request);
    if (answer.statusCode === REFUSED) return parseRefusal(answer);
    const identity = parseAnswer(PEER, answer, schema);
    const subject = parseSubject(identity.subject);
    if (subject === undefined) throw new PeerFailed('auth failed: it names no subject');
    return { ...identity, subject };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}

function restAfterRefusal(statusCode: number): number {
  return statusCode === REFUSED ? AUTH_REQUESTS.afterRefusal : 0;
}

function parseRefusal(answer: TextAnswer): RefusedLogin {
  const { error, message } = parseAnswer(PEER, { ...answer, statusCode: 200 }, REFUSAL);
  return { refused: error, message };
}
