import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, messageOf } from '../reason.ts';
import { PeerUnreachable } from './http-client.ts';
import { sendBody } from './send-body.ts';
import { socketAddress } from './unix-socket.ts';

export interface StreamedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body, which is read at the pace of the other side. It is not destroyed. */
  readonly body?: Readable | undefined;
  /** Aborted when nobody waits for the answer any more. The other side then gets no end of the body. */
  readonly signal: AbortSignal;
}

/** The milliseconds for which a role that is starting is tried again, and the pause between two tries. */
const PATIENCE = 5_000;
const PAUSE = 100;

/** connect(2) fails with EAGAIN if the backlog of a unix socket is full. */
const NOT_LISTENING: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT', 'EAGAIN']);

/**
 * Sends a request to a role that listens on a socket.
 * @throws PeerUnreachable, or the reason of the signal
 */
export function sendStreamed(socket: string, request: StreamedRequest): Promise<IncomingMessage> {
  return sendStreamedOver(() => connectTo(socketAddress(socket), request.signal), request);
}

/**
 * Sends a request whose body comes from somebody else, and which can therefore be sent only once. It has a
 * connection of its own, because another one could be closed just then. Resolves when the headers of the
 * response have arrived. If that is before the end of the body, the rest of the body is left unread.
 *
 * @throws PeerUnreachable, or the reason of the signal
 */
export async function sendStreamedOver(
  open: () => Promise<Socket>,
  { method, path, headers, body, signal }: StreamedRequest,
): Promise<IncomingMessage> {
  signal.throwIfAborted();
  try {
    const connection = await open();
    // The other side would close the connection after an early answer, and the answer could be lost.
    const sent = httpRequest({
      ...{ method, path, headers: { ...headers, connection: 'keep-alive' }, signal },
      createConnection: () => connection,
    });
    if (body === undefined) sent.end();
    using _sending = body && sendBody(body, sent);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    // A failure from now on is one of the response.
    sent.on('error', () => {});
    // Node leaves a connection open that belongs to no agent, until the other side closes it some seconds
    // later.
    response.once('close', () => connection.destroy());
    return response;
  } catch (error) {
    signal.throwIfAborted();
    throw new PeerUnreachable(`${method} ${path}: ${errorCode(error) ?? messageOf(error)}`, { cause: error });
  }
}

async function connectTo(address: string, signal: AbortSignal): Promise<Socket> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    const connection = connect(address);
    try {
      await once(connection, 'connect', { signal });
      return connection;
    } catch (error) {
      connection.destroy();
      if (!NOT_LISTENING.has(errorCode(error) ?? '') || performance.now() + PAUSE > end) throw error;
      await delay(PAUSE, undefined, { signal });
    }
  }
}
