import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort } from './free-port.ts';

/** An HTTP server on a free port of 127.0.0.1, which can stop and start again on the same port. */
export interface LocalServer {
  readonly url: URL;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

export async function serveLocally(listener: RequestListener): Promise<LocalServer> {
  let server = await listen(listener, await freePort());
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    async stop() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
    async restart() {
      server = await listen(listener, port);
    },
  };
}

async function listen(listener: RequestListener, port: number): Promise<Server> {
  const server = createServer(listener).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
