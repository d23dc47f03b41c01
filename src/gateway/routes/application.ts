/**
 * The steps before and after the gateway's routes: bounds, framing, the room of the audit log, and failures.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type Router from '@koa/router';
import Koa, { type Context, type Next } from 'koa';
import { PeerFailed } from '../../platform/ipc/ask-peer.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import type { Logger } from '../../platform/log.ts';
import type { Network } from '../../platform/network.ts';
import { withinLoopBudget } from '../../platform/scheduling/event-loop-budget.ts';
import { QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import { type AddressOf, addressKey, peerAddress } from '../http/client-address.ts';
import { ambiguousFraming } from '../http/framing.ts';
import { InFlight } from '../http/in-flight.ts';
import { GATEWAY_HEADER, PROBE_HEADER } from '../http/reach-listener.ts';
import { refuse } from '../http/respond.ts';
import { ClientGone } from '../http/response-body.ts';
import { isOriginForm } from '../http/target.ts';
import { type GatewayLimits, UNRECORDED_RETRY_AFTER } from '../limits.ts';
import type { RequestMeters } from '../metrics/requests.ts';
import type { WorkerPlace } from '../metrics/workers.ts';
import { isAccountTarget } from './account.ts';
import { publicRoutes } from './service.ts';
import { v2Steps } from './v2.ts';
import type { V2Dependencies, V2State } from './v2-request.ts';
import {
  authenticateAnonymous,
  authorizeWithoutLogin,
  refuseCredentials,
  type WithoutTlsOptions,
} from './without-tls.ts';

/** The path of health probes. */
const PROBED = '/healthz';

export interface Bounds {
  readonly metrics: RequestMeters;
  readonly addressOf: AddressOf;
  readonly inFlight: GatewayLimits['inFlight'];
  readonly place: WorkerPlace | undefined;
}

/** Refuses some requests before any work is done for them, so that a refusal costs as little as possible. */
export function createBounds({ metrics, addressOf, inFlight, place }: Bounds) {
  const addresses = new InFlight(inFlight.ofAddress);
  return (handler: RequestListener): RequestListener =>
    (request, response) => {
      metrics.countRequest(request, response);
      if (!isOriginForm(request.url)) return refuse(response, { error: 'NAME_UNKNOWN' });
      const isProbe = request.url === PROBED;
      if (isProbe && place !== undefined && request.headers[PROBE_HEADER] === place.start)
        response.setHeader(GATEWAY_HEADER, place.number);
      // A health probe must reach this process, however many requests come from its address.
      if (isProbe || addresses.enter(addressKey(addressOf(request)), response))
        return handler(request, response);
      refuse(response, { error: 'TOO_MANY_REQUESTS', retryAfter: 1 });
    };
}

/** Decides by the TCP peer, because without TLS it is what sent the request. */
export function byTrust(
  trustedProxies: Network | undefined,
  { trusted, others }: Readonly<Record<'trusted' | 'others', RequestListener>>,
): RequestListener {
  return (request, response) => {
    const isTrusted = trustedProxies?.contains(peerAddress(request.socket)) ?? false;
    return isTrusted ? trusted(request, response) : others(request, response);
  };
}

type WithoutTls = Pick<WithoutTlsOptions, 'url' | 'clock'> & {
  readonly credentials: Parameters<typeof authenticateAnonymous>[0];
  readonly ca: string | undefined;
};

/** Serves a peer that is not a trusted proxy and comes without TLS. It gets what `anonymous` may pull. */
export function createApplicationWithoutTls(
  dependencies: V2Dependencies,
  options: WithoutTls,
): RequestListener {
  const { url, credentials, ca } = options;
  const { challenge: _, ...others } = dependencies;
  const authenticate = authenticateAnonymous(credentials);
  const authorizeNow = authorizeWithoutLogin(dependencies.authorizeNow, url);
  const app = createApplication(
    { ...others, authenticate, authorizeNow, catalog: false },
    publicRoutes({ ca }),
  );
  return refuseCredentials(app, { ...options, ...dependencies });
}

export function createApplication(dependencies: V2Dependencies, services: Router): RequestListener {
  const app = new Koa<V2State>();
  // Koa's own handler would print to stderr. An error that reaches it is a fault of ours.
  app.silent = true;
  app.use(async ({ req, res }, next) => {
    try {
      const ambiguity = ambiguousFraming(req);
      if (ambiguity === undefined) {
        const mayBegin = isRecorded(req) ? dependencies.audit.mayBegin() : true;
        if (mayBegin === true || (await mayBegin))
          return await withinLoopBudget(next, () => turnOf(req, dependencies.addressOf));
        return refuse(res, { error: 'UNAVAILABLE', retryAfter: UNRECORDED_RETRY_AFTER, message: UNRECORDED });
      }
      res.setHeader('connection', 'close');
      refuse(res, { error: 'BAD_REQUEST', message: ambiguity });
    } catch (error) {
      answerFailure(req, res, error, dependencies.log);
    }
  });
  app.use(unlessV2(services.routes()));
  for (const step of v2Steps(dependencies)) app.use(step);
  return app.callback();
}

/**
 * Skips a step for targets of the distribution API. Most targets are such, and need no search among routes.
 */
function unlessV2<C extends Pick<Context, 'req'>>(step: (context: C, next: Next) => Promise<unknown>) {
  return (context: C, next: Next) => (context.req.url?.startsWith('/v2/') ? next() : step(context, next));
}

/**
 * Returns the key of the queue in which a request waits for the event loop. Probes have a queue of their own,
 * because they come from the address of a balancer, and must be answered however many of its requests wait.
 */
function turnOf(request: IncomingMessage, addressOf: AddressOf): string {
  return request.url === PROBED ? PROBED : addressKey(addressOf(request));
}

const UNRECORDED = 'the mirror cannot record requests at the moment, and therefore answers none; try again';

/** The paths that need no authorization decision. */
const UNDECIDED = new Set([PROBED, '/ca.crt', '/.well-known/jwks.json']);

/**
 * Pages that are only shown have no line. What changes something has one, and so has the way back from a
 * provider.
 */
function isRecorded({ url = '', method }: IncomingMessage): boolean {
  if (UNDECIDED.has(url)) return false;
  const isShown = method === 'GET' || method === 'HEAD';
  return !isAccountTarget(url) || !isShown || url.includes('/callback?');
}

function answerFailure(
  { signal }: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  log: Logger,
): void {
  if (error instanceof ClientGone || (signal.aborted && error === signal.reason)) return;
  if (error instanceof QueueFullError) return refuse(response, { error: 'TOO_MANY_REQUESTS', retryAfter: 1 });
  const isPeers = error instanceof PeerUnreachable || error instanceof PeerFailed;
  if (!isPeers) log.error({ err: error }, 'the gateway failed');
  else if (error instanceof PeerFailed) log.error({ err: error }, 'a part of the mirror failed');
  else log.error({ reason: error.message }, 'a part of the mirror does not answer');
  if (response.headersSent) response.destroy();
  else refuse(response, { error: isPeers ? 'UNAVAILABLE' : 'INTERNAL' });
}
