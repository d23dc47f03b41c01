import { LRUCache } from 'lru-cache';
import { ProxyError, proxyAuthorization, whyRefused } from '../../platform/egress/open-tunnel.ts';
import { type EgressOptions, proxyFor } from '../../platform/egress/proxy-rules.ts';
import type { Logger } from '../../platform/log.ts';
import { Deadline, unlessAborted } from '../../platform/scheduling/deadline.ts';
import { NobodyWaits, throwIfNobodyWaits } from '../../platform/scheduling/waiters.ts';
import type { Agent } from '../../platform/undici.ts';
import type { CoreLimits } from '../limits.ts';
import { Breaker } from './breaker.ts';
import { type Connections, UpstreamConnections } from './connections.ts';
import { whyNoRedirect } from './origin-rules.ts';
import { HostDown, isCut, refusalOfError, troubleOf } from './transport-failure.ts';
import type { UpstreamOptions } from './upstream.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import { ok, type UpstreamFailure, type UpstreamResult, unavailable } from './upstream-result.ts';

/**
 * Sends requests to upstreams, each with deadlines. Redirects are followed only if the caller says so, only
 * as the rules allow, and never with a credential. A proxy comes from the settings, never from the
 * environment. There is no compression and no cache.
 */
export interface Transport extends AsyncDisposable {
  send(request: UpstreamRequest): Promise<UpstreamResult<UpstreamResponse>>;
  /** Returns why the breaker for the host of `url` is open; undefined if it is closed. */
  trouble(url: URL): UpstreamFailure | undefined;
  /** The number of requests that wait for a connection. */
  readonly waiting: number;
}

export interface UpstreamRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** The body of a POST to a token service. Like every request here it can be repeated. */
  readonly body?: string;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** The upstream that the request belongs to. */
  readonly upstream: UpstreamOptions;
  /** True if redirects are followed; otherwise a redirect is the answer. */
  readonly follows?: boolean;
  /**
   * Answers the 401 of a host that a redirect leads to. It resolves to the value of an `Authorization`
   * header. The header of the request itself is not sent there.
   */
  readonly authorizeElsewhere?: (refusal: UpstreamResponse) => Promise<string | undefined>;
  /**
   * True if the upstream named the URL. Then it is requested only at an address to which a redirect may lead.
   */
  readonly isElsewhere?: boolean;
  /** Ends the request, including the reading of its body. */
  readonly signal: AbortSignal;
  /** True if a token service is asked. */
  readonly isForToken?: boolean;
  /** The repository that is blamed for a failure before the host is. */
  readonly about?: string;
  /** True if the request needs a new connection, because an answer over another one was cut short. */
  readonly fresh?: true;
  /** Called before each request that is sent: this one, its repetitions, and those to redirect targets. */
  readonly onSend?: OnSend | undefined;
}

export type OnSend = (request: UpstreamRequest) => void;

/** The result of one request to one host. Redirects that are followed are further requests. */
export interface SentRequest {
  readonly request: UpstreamRequest;
  /** True if a redirect led there. */
  readonly redirected: boolean;
  /** The status, or why there is none. */
  readonly outcome: number | UpstreamFailure['cause'];
  /** The time until the headers arrived. */
  readonly milliseconds: number;
}

export type ObserveSent = (sent: SentRequest) => void;

/** Go's HTTP client, which most container tools use, follows as many. */
const MAX_REDIRECTS = 10;
const MAX_ORIGINS = 1_000;
/** The bytes of a body that are buffered if they arrive faster than they are used. */
const BODY_BUFFER = 256 * 1024;
const USER_AGENT = 'hubgate';

export interface TransportOptions {
  readonly limits: CoreLimits;
  readonly log: Logger;
  readonly egress?: EgressOptions;
  readonly observe?: ObserveSent;
}

export function createTransport(options: TransportOptions): Transport {
  return new UndiciTransport(options);
}

/** Returns a transport for the token requests of one upstream. */
export function askingTokensOf(upstream: UpstreamOptions, transport: Transport): SendsForToken {
  return { send: (request) => transport.send({ ...request, upstream, isForToken: true }) };
}

/** Sends requests to token services. */
export interface SendsForToken {
  send(request: Omit<UpstreamRequest, 'upstream'>): Promise<UpstreamResult<UpstreamResponse>>;
}

class UndiciTransport implements Transport {
  readonly #connections: UpstreamConnections;
  readonly #limits: CoreLimits;
  /** The breakers by origin. */
  readonly #breakers = new LRUCache<string, Breaker>({
    max: MAX_ORIGINS,
    dispose: (breaker) => breaker[Symbol.dispose](),
  });
  readonly #log: Logger;
  readonly #egress: EgressOptions | undefined;
  readonly #observe: ObserveSent;

  constructor({ limits, log, egress, observe = () => {} }: TransportOptions) {
    this.#limits = limits;
    this.#log = log;
    this.#egress = egress;
    this.#observe = observe;
    this.#connections = new UpstreamConnections(limits, egress);
  }

  async send(request: UpstreamRequest): Promise<UpstreamResult<UpstreamResponse>> {
    const { url, headers = {}, upstream, follows, isElsewhere } = request;
    const connections =
      isElsewhere === true ? this.#connections.towards(url, upstream) : this.#connections.direct(upstream);
    if ('refused' in connections)
      return unavailable('failed', `${upstream.host} names ${url.host}, ${connections.refused}`);
    try {
      const first = { ...(await this.#request(connections, url, headers, request)), redirected: false };
      return follows === true && isRedirect(first) ? await this.#follow(first, request) : ok(first);
    } catch (error) {
      if (error instanceof NobodyWaits) throw error;
      return refusalOfError(error, url.host);
    }
  }

  trouble(url: URL): UpstreamFailure | undefined {
    return this.#breakers.get(url.origin)?.trouble;
  }

  get waiting(): number {
    return this.#connections.waiting;
  }

  async #follow(
    response: UpstreamResponse,
    request: UpstreamRequest,
  ): Promise<UpstreamResult<UpstreamResponse>> {
    const { authorization: _, ...headers } = request.headers ?? {};
    const { upstream } = request;
    let current = response;
    let base = request.url;
    const visited = new Set<string>();
    for (let hop = 0; hop < MAX_REDIRECTS; hop++) {
      discard(current);
      throwIfNobodyWaits();
      const target = URL.parse(String(current.headers.location), base);
      const from = `${base.host} redirects to ${target?.host ?? 'no URL'}`;
      if (target === null) return unavailable('failed', from);
      if (visited.has(target.href)) return unavailable('failed', `${from}, and that in a circle`);
      visited.add(target.href);
      const connections = this.#mayFollow(target, upstream);
      // The message names the target's host, but not its path and query, because a signed URL is a
      // capability.
      if ('refused' in connections) return unavailable('failed', `${from}, ${connections.refused}`);
      try {
        current = await this.#visit(connections, target, headers, request);
      } catch (error) {
        return refusalOfError(error, from);
      }
      if (!isRedirect(current)) return ok(current);
      base = target;
    }
    discard(current);
    return unavailable('failed', `${upstream.url.host} redirects more than ${MAX_REDIRECTS} times`);
  }

  /**
   * Requests the target of a redirect, and repeats that if the target is a registry that wants a token of its
   * own.
   */
  async #visit(
    connections: Connections,
    target: URL,
    headers: Readonly<Record<string, string>>,
    request: UpstreamRequest,
  ): Promise<UpstreamResponse> {
    const first = { ...(await this.#request(connections, target, headers, request)), redirected: true };
    if (first.statusCode !== 401 || !isOfRegistry(target) || request.authorizeElsewhere === undefined)
      return first;
    const authorization = await unlessAborted(request.authorizeElsewhere(first), request.signal);
    if (authorization === undefined) return first;
    discard(first);
    const asked = { ...headers, authorization };
    return { ...(await this.#request(connections, target, asked, request)), redirected: true };
  }

  #mayFollow(target: URL, upstream: UpstreamOptions): Connections | { readonly refused: string } {
    const refused = whyNoRedirect(target, upstream);
    return refused === undefined ? this.#connections.towards(target, upstream) : { refused };
  }

  /** Sends one request to one host, unless its breaker is open. The result counts for or against the host. */
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
    const failed = (trouble: UpstreamFailure) =>
      breaker.failed({ trouble, started, about: request.about ?? url.pathname });
    try {
      const response = await this.#sendAtMostTwice(connections, url, headers, request);
      const { statusCode: status } = response;
      if (status < 500) breaker.succeeded();
      else failed({ cause: 'failed', detail: `${url.host}: ${status}` });
      return response;
    } catch (error) {
      if (!isCrowded(connections.kept, url)) failed(troubleOf(error, url.host).failure);
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
    request.onSend?.(request);
    try {
      const response = await this.#dispatch(dispatcher, url, headers, request);
      observe(response.statusCode);
      return response;
    } catch (error) {
      observe(troubleOf(error, url.host).failure.cause);
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

  /**
   * Probes a host. Any answer below 500 counts as success, whatever it says. The request is at nobody's cost.
   */
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
    { method, body: form, signal }: Pick<UpstreamRequest, 'method' | 'body' | 'signal'>,
  ): Promise<Omit<UpstreamResponse, 'redirected'>> {
    // A proxy gets the whole URL (RFC 9112 §3.2.2). For https there is a tunnel.
    const proxy = url.protocol === 'http:' ? proxyFor(url, this.#egress) : undefined;
    const login = proxy && (await proxyAuthorization(proxy));
    const sent = dispatcher.request({
      origin: url.origin,
      path: `${proxy === undefined ? '' : url.origin}${url.pathname}${url.search}`,
      method,
      ...(form !== undefined && { body: form }),
      headers: {
        'user-agent': USER_AGENT,
        'accept-encoding': 'identity',
        ...headers,
        ...(login && { 'proxy-authorization': login }),
      },
      headersTimeout: this.#limits.headers,
      highWaterMark: BODY_BUFFER,
      signal,
    });
    // undici reads the signal only when it has a connection for the request, and 64 other requests may be
    // before it.
    const { statusCode, headers: received, body } = await unlessAborted(sent, signal, discard);
    if (proxy === undefined || statusCode !== 407)
      return { statusCode, headers: received, body, host: url.host };
    discard({ body });
    throw new ProxyError(whyRefused(proxy, statusCode, `to ask ${url.host}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#breakers.clear();
    await this.#connections[Symbol.asyncDispose]();
  }
}

/** True if the target is a registry. A storage has no token service, and its challenges are not answered. */
function isOfRegistry({ pathname }: URL): boolean {
  return pathname.startsWith('/v2/');
}

export function isRedirect({ statusCode, headers }: UpstreamResponse): boolean {
  return [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined;
}

/** True if requests wait for a connection of ours. Then it is not the host that lets them wait. */
function isCrowded(dispatcher: Agent, { origin }: URL): boolean {
  return queuedFor(dispatcher, { origin }) > 0;
}

function queuedFor(dispatcher: Agent, { origin }: Pick<URL, 'origin'>): number {
  const stats = dispatcher.stats[origin];
  return stats !== undefined && 'queued' in stats ? Number(stats.queued) : 0;
}

function tooManyWait({ host }: URL): UpstreamFailure {
  return { cause: 'busy', detail: `${host}: too many requests wait for a connection` };
}

/** Drops an answer whose body nobody wants, and keeps the connection if that costs little. */
export function discard({ body }: Pick<UpstreamResponse, 'body'>): void {
  if (body.dump === undefined) body.on('error', () => {}).destroy();
  else body.dump({ limit: 64 * 1024 }).catch(() => {});
}
