import type { CustomFetch } from 'openid-client';
import { connectByProxy } from '../../../platform/egress/connect-by-proxy.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import { readBody } from '../../../platform/read-body.ts';
import { Deadline, unlessAborted } from '../../../platform/scheduling/deadline.ts';
import { trusting } from '../../../platform/trusted-authorities.ts';
import { Agent, buildConnector } from '../../../platform/undici.ts';
import { OIDC } from '../../limits.ts';
import { DirectoryUnavailable } from './directory.ts';

export interface ProviderFetch extends AsyncDisposable {
  readonly fetch: CustomFetch;
}

/**
 * Returns the way in which an identity provider is asked: through the configured proxy, for some seconds, and
 * without following a redirect. Connections are kept, because many people are confirmed at once.
 */
export function openProviderFetch(egress: EgressOptions | undefined): ProviderFetch {
  const authorities = egress?.authorities;
  const timeout = OIDC.deadline;
  const secure = { timeout, ...(authorities && { secureContext: trusting(authorities) }) };
  const connect = connectByProxy({ egress, direct: buildConnector(secure), ...secure });
  const agent = new Agent({ connect, connections: OIDC.concurrent });
  return {
    fetch: async (url, { body, headers, method }) => {
      using deadline = new Deadline(timeout);
      const { signal } = deadline;
      const { origin, pathname, search } = new URL(url);
      const text = body === undefined || body === null ? undefined : String(body);
      const sent = agent.request({
        ...{ origin, path: `${pathname}${search}`, signal },
        method: method === 'POST' ? 'POST' : 'GET',
        headers: { ...headers, 'accept-encoding': 'identity', 'user-agent': 'hubgate' },
        ...(text !== undefined && { body: text }),
      });
      const {
        statusCode: status,
        headers: answered,
        body: stream,
      } = await unlessAborted(sent, signal, (late) => late.body.destroy());
      const bytes = await readBody(stream, OIDC.maxBody);
      if (bytes === undefined) throw new DirectoryUnavailable('it says more than 256 KiB');
      const fields = Object.entries(answered).flatMap(([name, value]) =>
        [value ?? []].flat().map((one): [string, string] => [name, one]),
      );
      return new Response(hasNoBody(status) ? null : new Uint8Array(bytes), { status, headers: fields });
    },
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}

/** `Response` accepts no body with these. */
function hasNoBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}
