import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, messageOf } from '../reason.ts';
import { DeadlineError, unlessAborted } from '../scheduling/deadline.ts';
import { FairQueue, type QueueLimits } from '../scheduling/fair-queue.ts';
import { type Dispatcher, Pool } from '../undici.ts';
import { exchangeText, type TextAnswer } from './text-exchange.ts';
import { socketAddress } from './unix-socket.ts';

/** Thrown if the other side cannot be asked, or does not answer in time. */
export class PeerUnreachable extends Error {
  override readonly name = 'PeerUnreachable';
}

/** Sends requests to another process of ours, or to an external core. */
export interface HttpClient extends AsyncDisposable {
  /**
   * @throws PeerUnreachable, and for a request with a `share` also what `FairQueue` throws, and the reason of
   * its signal
   */
  request(request: HttpRequest): Promise<HttpResponse>;
  /**
   * Sends a request, and reads the whole answer. This costs much less than `request` if the answer is short.
   * The cause of its `PeerUnreachable` is an `AnswerCutOff` if the answer broke off after its headers.
   */
  ask(request: HttpRequest): Promise<TextAnswer>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body. A stream is made again for each attempt. */
  readonly body?: string | (() => Readable);
  /** The milliseconds until the headers must arrive, including the wait for a place and for a connection. */
  readonly deadline: number;
  /**
   * The key of the share of the places for requests that this one takes. If absent, the request is our own
   * and needs no place.
   */
  readonly share?: string | undefined;
  /** The milliseconds for which a response with this status keeps the place, as in `FairQueue`. */
  readonly restAfter?: ((statusCode: number) => number) | undefined;
  /** Aborted when nobody wants the answer any more. A response whose headers have arrived continues. */
  readonly signal?: AbortSignal | undefined;
  /** The longest pause in milliseconds between two attempts while the other side does not listen yet. */
  readonly pause?: number;
}

export type HttpResponse = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

const CONNECT_TIMEOUT = 2_000;
/** The time-out in milliseconds. If the bytes of a body stop for this long, no more will come. */
const BODY_TIMEOUT = 60_000;
/**
 * Each response that is being read needs a connection, including those of fills; this leaves some to spare.
 */
const MAX_CONNECTIONS = 1024;
/**
 * The time in milliseconds. It is longer than the supervisor takes to restart a dead role, even on a busy
 * machine.
 */
const PATIENCE = 5_000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 400;

/** `limits` restricts the requests with a `share` that have no answer yet. */
export function openSocketClient(socket: string, limits?: QueueLimits): HttpClient {
  const pool = new Pool('http://socket.invalid', { ...OPTIONS, socketPath: socketAddress(socket) });
  return new PooledClient(pool, limits);
}

export function openUrlClient(url: URL, limits?: QueueLimits): HttpClient {
  return new PooledClient(new Pool(url.origin, OPTIONS), limits);
}

/** The limits of a client that makes only our own requests. */
const OWN_ONLY: QueueLimits = { concurrent: 0, concurrentEach: 0, waiting: 0, waitingEach: 0 };

const OPTIONS: ConstructorParameters<typeof Pool>[1] = {
  connections: MAX_CONNECTIONS,
  connect: { timeout: CONNECT_TIMEOUT },
  bodyTimeout: BODY_TIMEOUT,
};

class PooledClient implements HttpClient {
  readonly #pool: Pool;
  /** The queue is needed because undici's own queue for the pool has no limit. */
  readonly #queue: FairQueue;

  constructor(pool: Pool, limits = OWN_ONLY) {
    this.#pool = pool;
    this.#queue = new FairQueue(limits);
  }

  request(request: HttpRequest): Promise<HttpResponse> {
    return this.#inTurn(request, (end) => this.#stream(request, end));
  }

  ask(request: HttpRequest): Promise<TextAnswer> {
    const { signal } = request;
    return this.#inTurn(request, (end) => exchangeText(this.#pool, optionsOf(request), { end, signal }));
  }

  /** Sends a request when its turn among all shares has come. */
  async #inTurn<Answer extends WithStatus>(
    request: HttpRequest,
    send: (end: number) => Promise<Answer>,
  ): Promise<Answer> {
    const { share, deadline, signal, restAfter } = request;
    const end = performance.now() + deadline;
    if (share === undefined) return this.#try(request, end, send);
    try {
      const options = { deadline, signal, restAfter: restAfter && answerRest(restAfter) };
      return await this.#queue.run(share, options, () => this.#try(request, end, send));
    } catch (error) {
      throw error instanceof DeadlineError ? unreachable(error, request) : error;
    }
  }

  /**
   * Tries again if the connection failed before an answer arrived, because the other side may just be
   * starting.
   */
  async #try<Answer>(
    request: HttpRequest,
    end: number,
    send: (end: number) => Promise<Answer>,
  ): Promise<Answer> {
    const patience = Math.min(performance.now() + PATIENCE, end);
    const longest = request.pause ?? LONGEST_PAUSE;
    for (let pause = Math.min(FIRST_PAUSE, longest); ; pause = Math.min(pause * 2, longest)) {
      try {
        request.signal?.throwIfAborted();
        return await send(end);
      } catch (error) {
        request.signal?.throwIfAborted();
        if (performance.now() + pause > patience || !isConnectionLost(error))
          throw unreachable(error, request);
        await delay(pause);
      }
    }
  }

  async #stream(request: HttpRequest, end: number): Promise<HttpResponse> {
    const { signal } = request;
    const ending = new AbortController();
    const abort = () => ending.abort(signal?.reason);
    const late = setTimeout(() => ending.abort(new DeadlineError()), Math.max(0, end - performance.now()));
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const sent = this.#pool.request({ ...optionsOf(request), signal: ending.signal });
      // undici only looks at the signal when it has a connection for the request.
      return await unlessAborted(sent, ending.signal, ({ body }) => body.destroy());
    } finally {
      clearTimeout(late);
      signal?.removeEventListener('abort', abort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}

type WithStatus = Pick<HttpResponse, 'statusCode'>;

function answerRest(restAfter: (statusCode: number) => number) {
  return ({ statusCode }: WithStatus) => restAfter(statusCode);
}

/** The deadline of a request is not undici's, because undici's time begins when it has a connection. */
function optionsOf({ method, path, headers, body }: HttpRequest): Dispatcher.DispatchOptions {
  const content = typeof body === 'function' ? body() : body;
  return {
    ...{ method, path, headersTimeout: 0 },
    ...(headers && { headers }),
    ...(content !== undefined && { body: content }),
  };
}

function unreachable(error: unknown, { method, path, deadline }: HttpRequest): PeerUnreachable {
  const why =
    error instanceof DeadlineError
      ? `no answer within ${deadline} ms`
      : (errorCode(error) ?? messageOf(error));
  return new PeerUnreachable(`${method} ${path}: ${why}`, { cause: error });
}

/** connect(2) fails with EAGAIN if the backlog of a unix socket is full. */
const CONNECTION_LOST: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'EAGAIN'],
]);

function isConnectionLost(error: unknown): boolean {
  return CONNECTION_LOST.has(errorCode(error) ?? '');
}
