import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { parseNetwork } from '../../platform/network.ts';
import { LISTENER_PROBE } from '../limits.ts';
import type { ListenOn } from './listen.ts';
import { HEADER_WITHOUT_CLIENT } from './proxy-header.ts';

/** The header of a probe. It names the start whose gateways answer with their numbers. */
export const PROBE_HEADER = 'hubgate-probe';
/** The header of the answer to a probe. It is the number of the gateway. */
export const GATEWAY_HEADER = 'hubgate-gateway';

export interface ReachOptions {
  readonly listen: ListenOn;
  /** The port on which the gateways listen. */
  readonly port: number;
  /**
   * The number of gateways that listen on the port, and the start that they share. If absent, there is one
   * gateway.
   */
  readonly workers?: { readonly count: number; readonly start: string } | undefined;
  /** The networks whose connections must begin with a PROXY header. This machine may be in one of them. */
  readonly proxyProtocol?: readonly string[];
}

/**
 * `refused` means that connections end without an answer, because the listener is full. `silent` means that a
 * connection gets no answer in time.
 */
export type Reached = 'answers' | 'refused' | 'silent';

/** The result of one connection: the number of the gateway that answered, or why none did. */
type Tried = string | Exclude<Reached, 'answers'>;

/**
 * Tests whether the public listener answers a client that connects as clients do. It tries until every
 * gateway has answered. A gateway that does not listen at all, such as one that is starting, gets no
 * connections, so no client misses it.
 */
export async function reachListener(options: ReachOptions): Promise<Reached> {
  const { listen, port, workers, proxyProtocol = [] } = options;
  // The process may have no network besides the sockets that it was given.
  if (listen.fd !== undefined) return 'answers';
  const own = ownAddress(listen);
  const mustIntroduce = parseNetwork(proxyProtocol)?.contains(own) ?? false;
  const { count = 1, start = '' } = workers ?? {};
  const probe = { host: own, port, mustIntroduce, start };
  const most = count === 1 ? 1 : Math.ceil(count * (Math.log(count) + LISTENER_PROBE.tries));
  const met = new Set<Tried>();
  for (let tries = 0; tries < most && met.size < count; tries += count) {
    for (const tried of await Promise.all(Array.from({ length: count }, () => tryOnce(probe))))
      met.add(tried);
    if (met.has('silent')) return 'silent';
    if (met.has('refused')) return 'refused';
  }
  return 'answers';
}

/** Returns the address to which a client on this machine connects. */
function ownAddress({ host }: ListenOn): string {
  if (host === undefined || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

interface Probe {
  readonly host: string;
  readonly port: number;
  readonly mustIntroduce: boolean;
  readonly start: string;
}

async function tryOnce({ host, port, mustIntroduce, start }: Probe): Promise<Tried> {
  const socket = createConnection({ host, port });
  if (mustIntroduce) socket.write(HEADER_WITHOUT_CLIENT);
  // This test is not about whether clients accept the certificate.
  const createTls = () => connect({ socket, rejectUnauthorized: false });
  const headers = { [PROBE_HEADER]: start };
  const asked = request({ host, port, path: '/healthz', headers, createConnection: createTls });
  socket.on('error', (error) => asked.destroy(error));
  const late = AbortSignal.timeout(LISTENER_PROBE.deadline);
  asked.end();
  try {
    const [response] = (await once(asked, 'response', { signal: late })) as [IncomingMessage];
    return String(response.headers[GATEWAY_HEADER]);
  } catch {
    return late.aborted ? 'silent' : 'refused';
  } finally {
    asked.on('error', () => {});
    asked.destroy();
    socket.destroy();
  }
}
