import { LRUCache } from 'lru-cache';
import { Deadline, DeadlineError, unlessAborted } from '../../platform/deadline.ts';
import type { Logger } from '../../platform/log.ts';
import { type Agent, type Dispatcher, errors } from '../../platform/undici.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import type { CoreLimits } from '../limits.ts';
import { type Answer, cannot, type Refused, type Trouble, yes } from './answer.ts';
import { Breaker } from './breaker.ts';
import { type Connections, UpstreamConnections } from './connections.ts';
import { countRequest } from './cost.ts';
import { isRedirectAllowed } from './origin-rules.ts';

/**
 * Requests to upstreams, each with deadlines. Redirects are followed only where the caller says so, only as the rules
 * allow, and never with a credential. No proxy from the environment, no compression, no cache.
 */
export interface Transport extends AsyncDisposable {
  send(request: UpstreamRequest): Promise<Answer<UpstreamResponse>>;
  /** Why the host of `url` is left alone, where it is. */
  trouble(url: URL): Trouble | undefined;
  /** Requests that wait for a connection. */
  readonly waiting: number;
}

export interface UpstreamRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** The upstream whose redirects of this request are followed; absent: a redirect is the answer. */
  readonly followFor?: URL;
  /** Ends the request, the reading of its body included. */
  readonly signal: AbortSignal;
  /** Of a request to a token service: the upstream whose token it is to be. */
  readonly tokenOf?: UpstreamHost;
  /** The repository that is blamed for a failure before the host is. */
  readonly about?: string;
  /** True if only a new connection will do, because an answer over another one was cut short. */
  readonly fresh?: true;
}

/** What became of one request to one host; redirects that are followed are further ones. */
export interface SentRequest {
  readonly request: UpstreamRequest;
  /** Was it a redirect that led there? */
  readonly redirected: boolean;
  /** The status, or why there is none. */
  readonly outcome: number | Trouble['cause'];
  /** Until the headers were there. */
  readonly milliseconds: number;
}

export type ObserveSent = (sent: SentRequest) => void;

export interface UpstreamResponse extends Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'> {
  /** Did another host answer than the one that was asked? Then its refusals say nothing about the repository. */
  readonly redirected: boolean;
}

const MAX_REDIRECTS = 3;
const MAX_ORIGINS = 1_000;
/** Bytes of a body that are taken in one go where they come faster than they are used. */
const BODY_BUFFER = 256 * 1024;
const USER_AGENT = 'hubgate';

export function createTransport(limits: CoreLimits, log: Logger, observe: ObserveSent = () => {}): Transport {
  return new UndiciTransport(limits, log, observe);
}

/** The same for whoever asks for tokens of one upstream. */
export function askingTokensOf(upstream: UpstreamHost, transport: Transport): Pick<Transport, 'send'> {
  return { send: (request) => transport.send({ ...request, tokenOf: upstream }) };
}

class UndiciTransport implements Transport {
  readonly #connections: UpstreamConnections;
  readonly #limits: CoreLimits;
  /** One for each origin that was asked. */
  readonly #breakers = new LRUCache<string, Breaker>({
    max: MAX_ORIGINS,
    dispose: (breaker) => breaker[Symbol.dispose](),
  });
  readonly #log: Logger;
  readonly #observe: ObserveSent;

  constructor(limits: CoreLimits, log: Logger, observe: ObserveSent) {
    this.#limits = limits;
    this.#log = log;
    this.#observe = observe;
    this.#connections = new UpstreamConnections(limits);
  }

  async send(request: UpstreamRequest): Promise<Answer<UpstreamResponse>> {
    const { url, headers = {}, followFor } = request;
    try {
      const first = {
        ...(await this.#request(this.#connections.direct, url, headers, request)),
        redirected: false,
      };
      return followFor === undefined || !isRedirect(first)
        ? yes(first)
        : await this.#follow(first, request, followFor);
    } catch (error) {
      return error instanceof HostDown
        ? { kind: 'cannot', trouble: error.trouble }
        : troubleOf(error, url.host);
    }
  }

  trouble(url: URL): Trouble | undefined {
    return this.#breakers.get(url.origin)?.trouble;
  }

  get waiting(): number {
    return this.#connections.waiting;
  }

  async #follow(
    response: UpstreamResponse,
    request: UpstreamRequest,
    upstream: URL,
  ): Promise<Answer<UpstreamResponse>> {
    const { authorization: _, ...headers } = request.headers ?? {};
    let current = response;
    let base = request.url;
    for (let hop = 0; hop < MAX_REDIRECTS; hop++) {
      discard(current);
      const target = URL.parse(String(current.headers.location), base);
      if (target === null || !isRedirectAllowed(target, upstream)) return refused(upstream, target);
      const connections = await this.#connections.towards(target, upstream);
      if (connections === undefined) return refused(upstream, target);
      current = { ...(await this.#request(connections, target, headers, request)), redirected: true };
      if (!isRedirect(current)) return yes(current);
      base = target;
    }
    discard(current);
    return cannot('failed', `${upstream.host} redirects more than ${MAX_REDIRECTS} times`);
  }

  /**
   * Sends one request to one host, unless the host is left alone. Its result counts for or against the host.
   */
  async #request(
    connections: Connections,
    url: URL,
    headers: Readonly<Record<string, string>>,
    request: UpstreamRequest,
  ): Promise<Omit<UpstreamResponse, 'redirected'>> {
    const breaker = this.#breakerOf(url, connections);
    if (breaker.trouble !== undefined) throw new HostDown(breaker.trouble);
    if (queuedFor(connections.kept, url) >= this.#limits.waiting) throw new HostDown(tooManyWait(url));
    const started = performance.now();
    const failed = (trouble: Trouble) =>
      breaker.failed({ trouble, started, about: request.about ?? url.pathname });
    try {
      const response = await this.#sendAtMostTwice(connections, url, headers, request);
      const { statusCode: status } = response;
      if (status < 500) breaker.succeeded();
      else failed({ cause: 'failed', detail: `${url.host}: ${status}` });
      return response;
    } catch (error) {
      if (!isCrowded(connections.kept, url)) failed(troubleOf(error, url.host).trouble);
      throw error;
    }
  }

  /**
   * Sends a request, and repeats it if the connection was cut. An idle connection may have been cut, and
   * every request here can be repeated.
   */
  async #sendAtMostTwice(
    { kept, fresh }: Connections,
    url: URL,
    headers: Readonly<Record<string, string>>,
    request: UpstreamRequest,
  ): Promise<Omit<UpstreamResponse, 'redirected'>> {
    if (request.fresh !== true) {
      try {
        return await this.#sendOnce(kept, url, headers, request);
      } catch (error) {
        if (!isCut(error) || request.signal.aborted) throw error;
      }
    }
    return this.#sendOnce(fresh, url, headers, request);
  }

  async #sendOnce(
    dispatcher: Agent,
    url: URL,
    headers: Readonly<Record<string, string>>,
    request: UpstreamRequest,
  ): Promise<Omit<UpstreamResponse, 'redirected'>> {
    const started = performance.now();
    const observe = (outcome: SentRequest['outcome']) => {
      const milliseconds = performance.now() - started;
      this.#observe({ request, redirected: url !== request.url, outcome, milliseconds });
    };
    countRequest();
    try {
      const response = await this.#dispatch(dispatcher, url, headers, request);
      observe(response.statusCode);
      return response;
    } catch (error) {
      observe(troubleOf(error, url.host).trouble.cause);
      throw error;
    }
  }

  #breakerOf(url: URL, { fresh }: Connections): Breaker {
    const known = this.#breakers.get(url.origin);
    if (known !== undefined) return known;
    const breaker = new Breaker({
      limits: this.#limits,
      probe: () => this.#isThere(url, fresh),
      onChange: (trouble) => {
        if (trouble === undefined) this.#log.info({ host: url.host }, 'an upstream host answers again');
        else this.#log.warn({ host: url.host, ...trouble }, 'an upstream host is left alone for a while');
      },
    });
    this.#breakers.set(url.origin, breaker);
    return breaker;
  }

  /** Any answer but one of trouble will do: what it says is not for a probe to judge. It is at nobody's cost. */
  async #isThere(url: URL, dispatcher: Agent): Promise<boolean> {
    using deadline = new Deadline(this.#limits.revalidation);
    try {
      const target = new URL('/v2/', url);
      const response = await this.#dispatch(
        dispatcher,
        target,
        {},
        { method: 'GET', signal: deadline.signal },
      );
      discard(response);
      return response.statusCode < 500;
    } catch {
      return false;
    }
  }

  async #dispatch(
    dispatcher: Agent,
    url: URL,
    headers: Readonly<Record<string, string>>,
    { method, signal }: Pick<UpstreamRequest, 'method' | 'signal'>,
  ): Promise<Omit<UpstreamResponse, 'redirected'>> {
    const sent = dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: { 'user-agent': USER_AGENT, 'accept-encoding': 'identity', ...headers },
      headersTimeout: this.#limits.headers,
      highWaterMark: BODY_BUFFER,
      signal,
    });
    // undici looks at the signal only when it has a connection for the request, and 64 others may be in front of it.
    const { statusCode, headers: received, body } = await unlessAborted(sent, signal, discard);
    return { statusCode, headers: received, body };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#breakers.clear();
    await this.#connections[Symbol.asyncDispose]();
  }
}

export function isRedirect({ statusCode, headers }: UpstreamResponse): boolean {
  return [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined;
}

/** The target's host is said, its path and query are not: a signed URL is a capability. */
function refused(upstream: URL, target: URL | null): Answer<never> {
  return cannot('failed', `${upstream.host} redirects to ${target?.host ?? 'no URL'}, which is not allowed`);
}

class HostDown extends Error {
  override readonly name = 'HostDown';
  readonly trouble: Trouble;

  constructor(trouble: Trouble) {
    super(trouble.detail);
    this.trouble = trouble;
  }
}

/**
 * True if a connection was cut, so that the host's answer is unknown. UND_ERR_INFO means that an HTTP/2
 * session ended.
 */
export function isCut(error: unknown): boolean {
  const code = String((error as NodeJS.ErrnoException).code);
  return (
    ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_INFO'].includes(code) || code.startsWith('ERR_HTTP2_')
  );
}

/** Do requests wait for a connection of ours? Then it is not the host that lets them wait. */
function isCrowded(dispatcher: Agent, { origin }: URL): boolean {
  return queuedFor(dispatcher, { origin }) > 0;
}

function queuedFor(dispatcher: Agent, { origin }: Pick<URL, 'origin'>): number {
  const stats = dispatcher.stats[origin];
  return stats !== undefined && 'queued' in stats ? Number(stats.queued) : 0;
}

function tooManyWait({ host }: URL): Trouble {
  return { cause: 'busy', detail: `${host}: too many requests wait for a connection` };
}

/** What a failure comes to of a connection, or of reading what came over it. */
export function troubleOf(error: unknown, host: string): Refused & { kind: 'cannot' } {
  // Docker Hub's limit against abuse has been seen with header lines that end in a bare LF, which no strict parser takes.
  if (
    error instanceof errors.HTTPParserError &&
    /HAP429|Too Many Requests/.test(String((error as { data?: unknown }).data))
  )
    return cannot('limited', `${host}: 429`);
  const timedOut =
    error instanceof DeadlineError ||
    error instanceof errors.ConnectTimeoutError ||
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.BodyTimeoutError;
  const { code, message } = error as NodeJS.ErrnoException;
  return cannot(timedOut ? 'timeout' : 'unreachable', `${host}: ${code ?? message}`);
}

/** Lets go of an answer whose body is not wanted, and keeps the connection where that costs little. */
export function discard({ body }: Pick<UpstreamResponse, 'body'>): void {
  body.dump({ limit: 64 * 1024 }).catch(() => {});
}
