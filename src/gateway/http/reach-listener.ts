import { once } from 'node:events';
import { request } from 'node:https';
import type { ListenOn } from './listen.ts';

export interface ReachOptions {
  readonly listen: ListenOn;
  /** The port on which the gateways listen. */
  readonly port: number;
  /** The gateways that listen on it. The kernel chooses one of them for each connection. */
  readonly workers: number;
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
export async function reachListener({ listen, port, workers }: ReachOptions): Promise<Reached> {
  // A gateway that was given its sockets may have no other network.
  if (listen.fd !== undefined) return 'answers';
  const { host } = listen;
  const own = host === undefined || host === '::' || host === '0.0.0.0' ? '127.0.0.1' : host;
  const tries = Array.from({ length: Math.min(MOST_TRIES, workers * TRIES_FOR_EACH) }, () =>
    tryOnce(own, port),
  );
  const reached = await Promise.all(tries);
  return reached.includes('silent') ? 'silent' : reached.includes('refused') ? 'refused' : 'answers';
}

async function tryOnce(host: string, port: number): Promise<Reached> {
  // This test is not about whether clients accept the certificate.
  const asked = request({ host, port, path: '/healthz', agent: false, rejectUnauthorized: false });
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
  }
}
