import type { ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';

interface Watched {
  readonly socket: Socket;
  /** Bytes that had come and gone when something had last come or gone. */
  progress: number;
  /** By the monotonic clock. */
  since: number;
}

/** How often one looks, in parts of the time that a client has. */
const LOOKS = 8;

/**
 * Closes a connection on which a request is in flight and nothing comes or goes for so many milliseconds. Node's own timeout
 * does not: where an encrypted chunk waits to be sent, it lets the same time pass twice.
 */
export function closeStopped(server: Server, after: number): Disposable {
  const watched = new Map<ServerResponse, Watched>();
  server.on('request', ({ socket }, response) => {
    watched.set(response, { socket, progress: progressOf(socket), since: performance.now() });
    response.once('close', () => watched.delete(response));
  });
  const look = () => {
    const now = performance.now();
    for (const one of watched.values()) {
      const progress = progressOf(one.socket);
      if (progress !== one.progress) Object.assign(one, { progress, since: now });
      else if (now - one.since >= after) one.socket.destroy();
    }
  };
  const timer = setInterval(look, Math.ceil(after / LOOKS)).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** What was handed to the connection and is not in the hands of the kernel yet has not gone. */
function progressOf({ bytesRead, bytesWritten, writableLength }: Socket): number {
  return bytesRead + bytesWritten - writableLength;
}
