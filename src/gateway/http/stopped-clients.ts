import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { ChangingSet } from '../../platform/changing-set.ts';

interface WatchedSocket {
  readonly socket: Socket;
  /** The bytes that had been received and sent at the last change. It is undefined until the first check. */
  progress: number | undefined;
  /** The time of that change, by the monotonic clock. */
  since: number;
}

/** The number of checks within a client's time limit. */
const CHECKS = 8;

/**
 * Closes a connection on which a request is in flight if no byte comes or goes for the given number of
 * milliseconds. Node's own timeout does not do that: if an encrypted chunk waits to be sent, Node lets the
 * time pass twice. The time begins at the first check, because most requests end before it.
 */
export function closeStopped(server: Server, after: number): Disposable {
  const watched = new ChangingSet<WatchedSocket>();
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const one: WatchedSocket = { socket, progress: undefined, since: 0 };
    const place = watched.add(one);
    response.on('close', () => watched.remove(one, place));
  });
  const check = () => {
    const now = performance.now();
    for (const one of watched) {
      const progress = progressOf(one.socket);
      if (progress !== one.progress) Object.assign(one, { progress, since: now });
      else if (now - one.since >= after) one.socket.destroy();
    }
  };
  const timer = setInterval(check, Math.ceil(after / CHECKS)).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * Counts only bytes that the kernel has taken. Bytes that still wait in the connection have not been sent.
 */
function progressOf({ bytesRead, bytesWritten, writableLength }: Socket): number {
  return bytesRead + bytesWritten - writableLength;
}
