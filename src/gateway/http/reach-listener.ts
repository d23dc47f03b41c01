import { once } from 'node:events';
import { request } from 'node:https';
import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { parseNetwork } from '../../platform/network.ts';
import type { ListenOn } from './listen.ts';
import { HEADER_WITHOUT_CLIENT } from './proxy-header.ts';

export interface ReachOptions {
  readonly listen: ListenOn;
  /** The port on which the gateways listen. */
  readonly port: number;
  /** The gateways that listen on it. The kernel chooses one of them for each connection. */
  readonly workers: number;
  /** The networks whose connections must begin with a PROXY header. This machine may be in one of them. */
  readonly proxyProtocol?: readonly string[];
}

/**
 * `refused`: connections end without an answer, because the listener is full. `silent`: a connection gets no
 * answer in time.
 */
export type Reached = 'answers' | 'refused' | 'silent';

/** Milliseconds. */
const DEADLINE = 3_000;
/**
 * With this number of tries for each gateway, a test of two gateways, one of which hangs, finds it in fifteen
 * of sixteen cases.
 */
const TRIES_FOR_EACH = 2;
const MOST_TRIES = 8;

/** Tests whether the public listener answers a client that connects as clients do. */
export async function reachListener(options: ReachOptions): Promise<Reached> {
  const { listen, port, workers, proxyProtocol = [] } = options;
  // A gateway that was given its sockets may have no other network.
  if (listen.fd !== undefined) return 'answers';
  const { host } = listen;
  const own = host === undefined || host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const mustIntroduce = parseNetwork(proxyProtocol)?.contains(own) ?? false;
  const tries = Array.from({ length: Math.min(MOST_TRIES, workers * TRIES_FOR_EACH) }, () =>
    tryOnce(own, port, mustIntroduce),
  );
  const reached = await Promise.all(tries);
  return reached.includes('silent') ? 'silent' : reached.includes('refused') ? 'refused' : 'answers';
}

async function tryOnce(host: string, port: number, mustIntroduce: boolean): Promise<Reached> {
  const socket = createConnection({ host, port });
  if (mustIntroduce) socket.write(HEADER_WITHOUT_CLIENT);
  // This test is not about whether clients accept the certificate.
  const createTls = () => connect({ socket, rejectUnauthorized: false });
  const asked = request({ host, port, path: '/healthz', createConnection: createTls });
  socket.on('error', (error) => asked.destroy(error));
  const late = AbortSignal.timeout(DEADLINE);
  asked.end();
  try {
    await once(asked, 'response', { signal: late });
    return 'answers';
  } catch {
    return late.aborted ? 'silent' : 'refused';
  } finally {
    asked.on('error', () => {});
    asked.destroy();
    socket.destroy();
  }
}
