import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The only way out for a client: it lets nothing through, and records the requests. */
export interface RecordingProxy extends AsyncDisposable {
  /** Returns a client's environment in which only `host` bypasses the proxy. */
  environmentFor(host: string): Readonly<Record<string, string>>;
  /** Returns the requested hosts since the last call, each as `host:port`. */
  takeAsked(): string[];
}

export async function startRecordingProxy(): Promise<RecordingProxy> {
  let asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(502).end();
  });
  server.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    socket.on('error', () => {});
    socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    environmentFor: (host) => ({
      ...{ HTTPS_PROXY: url, https_proxy: url, HTTP_PROXY: url, http_proxy: url },
      ...{ NO_PROXY: host, no_proxy: host },
    }),
    takeAsked() {
      const taken = asked;
      asked = [];
      return taken;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
