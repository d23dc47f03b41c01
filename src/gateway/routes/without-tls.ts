/**
 * Requests without TLS from a peer that is not a trusted proxy. Anybody on the network path can read them, so
 * they are answered as requests of `anonymous`, and no credential is read.
 */
import type { IncomingMessage, RequestListener } from 'node:http';
import { ANONYMOUS } from '../../access/subject.ts';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Logger } from '../../platform/log.ts';
import { ERRORS } from '../../registry/error.ts';
import type { ActiveCredentials } from '../authentication/active-credentials.ts';
import type { AuthenticateClient } from '../authentication/authenticate-client.ts';
import type { AuthorizeNow } from '../authorization/authorize.ts';
import { type AddressOf, addressKey } from '../http/client-address.ts';
import { refuse } from '../http/respond.ts';
import { PLAIN_REFUSALS } from '../limits.ts';

/** Treats every client as `anonymous`. It reads nothing in the request. */
export function authenticateAnonymous(
  credentials: Pick<ActiveCredentials, 'throwIfStale'>,
): AuthenticateClient {
  return async () => {
    credentials.throwIfStale();
    return { kind: 'anonymous', subject: ANONYMOUS };
  };
}

/** Turns a 401 into a 403, because a client must not send a login here. */
export function authorizeWithoutLogin(authorizeNow: AuthorizeNow, url: URL): AuthorizeNow {
  const because = `without TLS only what anybody may pull is served here; use ${url.origin}`;
  return () => {
    const authorize = authorizeNow();
    return (authentication, asked) => {
      const decision = authorize(authentication, asked);
      if (decision.kind === 'granted' || ERRORS[decision.error].status !== 401) return decision;
      const { rule } = decision;
      return { kind: 'refused', error: 'DENIED', because, ...(rule !== undefined && { rule }) };
    };
  };
}

export interface WithoutTlsOptions {
  readonly url: URL;
  readonly addressOf: AddressOf;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Refuses requests that carry a credential, and logs them, because their senders must learn to use TLS. */
export function refuseCredentials(handler: RequestListener, options: WithoutTlsOptions): RequestListener {
  const { url, addressOf, log, clock = systemClock } = options;
  const logged = new ExpiringCache<object>(PLAIN_REFUSALS.maxAddresses, clock);
  const message = `no credential is taken without TLS; use ${url.origin}`;
  return (request, response) => {
    if (!carriesCredential(request)) return handler(request, response);
    const address = addressOf(request);
    const key = addressKey(address);
    if (logged.get(key) === undefined)
      log.warn({ address }, 'a request to server.plain carries a credential without TLS, and is refused');
    logged.set(key, {}, PLAIN_REFUSALS.logEvery);
    // The body is not read, so the connection ends with the response.
    response.setHeader('connection', 'close');
    refuse(response, { error: 'DENIED', message });
  };
}

/**
 * True if the request may carry a credential. A request to the token endpoint always may, because its body
 * can.
 */
function carriesCredential({ headers, url = '' }: IncomingMessage): boolean {
  if (headers.authorization !== undefined || headers['proxy-authorization'] !== undefined) return true;
  return url === '/token' || url.startsWith('/token?');
}
