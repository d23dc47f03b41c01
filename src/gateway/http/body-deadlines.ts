import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { hasBody } from './framing.ts';

/** The deadlines of request bodies, in milliseconds. */
export interface BodyTimes {
  /** The time between two received bytes. */
  readonly bodyIdle: number;
  /**
   * The time for a whole small body, from the end of the headers. It also counts for a body whose request is
   * already answered, because nobody reads that any more.
   */
  readonly smallBody: number;
  /**
   * The least bytes that must come in each time span of a large body. A client that sends single bytes would
   * otherwise hold an upload, and its place, for as long as it likes.
   */
  readonly bodyFloor?: { readonly bytes: number; readonly within: number };
  /** The time between two checks. */
  readonly check: number;
}

interface IncomingBody {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** The time at which the headers were complete, by the monotonic clock. */
  readonly begun: number;
  /** The bytes that had been received at the last change, and the time of that change. */
  received: number;
  since: number;
  /** The bytes and the time at the beginning of the current time span of `bodyFloor`. */
  readonly span: { received: number; since: number };
}

/**
 * Closes a connection if the body of its request stops, or if a small body takes too long. A large body may
 * take as long as its bytes keep coming, so Node's `requestTimeout`, which bounds every request, is of no
 * use.
 */
export function limitBodies(
  server: Server,
  { bodyIdle, smallBody, bodyFloor, check }: BodyTimes,
  isSmall: (request: IncomingMessage) => boolean,
): Disposable {
  const bodies = new Set<IncomingBody>();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!hasBody(request)) return;
    const { socket } = request;
    const begun = performance.now();
    const { bytesRead: received } = socket;
    const span = { received, since: begun };
    bodies.add({ request, response, socket, begun, received, since: begun, span });
  });
  const isLate = ({ request, response, begun, since }: IncomingBody, now: number) =>
    now - since >= bodyIdle || (now - begun >= smallBody && (response.writableEnded || isSmall(request)));
  const checkAll = () => {
    const now = performance.now();
    for (const body of bodies) {
      const { request, socket } = body;
      const { bytesRead: received } = socket;
      if (received !== body.received) Object.assign(body, { received, since: now });
      const isSlow = bodyFloor !== undefined && isBelow(body, bodyFloor, now);
      if (!request.complete && !socket.destroyed && !isLate(body, now) && !isSlow) continue;
      bodies.delete(body);
      if (!request.complete && !socket.destroyed) giveUp(body);
    }
  };
  const timer = setInterval(checkAll, check).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** True if a time span of the body is over and too little has come in it. Otherwise the next one begins. */
function isBelow(
  { span, received }: IncomingBody,
  { bytes, within }: NonNullable<BodyTimes['bodyFloor']>,
  now: number,
): boolean {
  if (now - span.since < within) return false;
  if (received - span.received < bytes) return true;
  Object.assign(span, { received, since: now });
  return false;
}

/** Answers as Node does if headers are late, unless this connection is sending another response. */
function giveUp({ response, socket }: IncomingBody): void {
  if (response.socket !== null && !response.headersSent)
    socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
  socket.destroy();
}
