import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, request as requestHttps } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { makeAuthority, type TestAuthority } from './certificates.ts';

/**
 * A proxy that inspects TLS, as many companies have one: it answers for every host with a certificate of its
 * own authority, and sends each request on to the true host.
 */
export class InspectingProxy implements AsyncDisposable {
  /** The requests that it could read, each with its method and host. */
  readonly inspected: string[] = [];
  readonly authority: TestAuthority = makeAuthority('inspecting proxy');
  readonly #contexts = new Map<string, SecureContext>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer();
  readonly #inside = createTlsServer({
    SNICallback: (host, done) => done(null, this.#contextOf(host)),
  });

  static async start(): Promise<InspectingProxy> {
    const proxy = new InspectingProxy();
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  private constructor() {
    this.#server.on('connect', (_request, socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket));
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      this.#inside.emit('connection', socket);
    });
    this.#inside.on('request', (request, response) => this.#forward(request, response));
    this.#inside.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #contextOf(host: string): SecureContext {
    const existing = this.#contexts.get(host);
    if (existing !== undefined) return existing;
    const altNames = [{ type: 2, value: host }];
    const context = createSecureContext(
      this.authority.issue({ commonName: host, altNames, usage: { serverAuth: true } }),
    );
    this.#contexts.set(host, context);
    return context;
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const { method = 'GET', headers, url = '/' } = request;
    const target = new URL(url, `https://${headers.host}`);
    this.inspected.push(`${method} ${target.host}`);
    const onward = requestHttps(target, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
