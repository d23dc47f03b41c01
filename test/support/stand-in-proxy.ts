import { once } from 'node:events';
import { createServer, type IncomingMessage, request as requestHttp } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** What a proxy does with a CONNECT: it connects, answers with a status, or never answers. */
export type ProxyBehaviour = 'connects' | 'hangs' | { readonly status: number };

/** An HTTP proxy on a free port of 127.0.0.1, behind which every host is a server of the test. */
export class StandInProxy implements AsyncDisposable {
  /** The requests that it received: `CONNECT hub.example:443`, `GET http://hub.example/v2/`. */
  readonly asked: string[] = [];
  behaviour: ProxyBehaviour = 'connects';
  /** The `Proxy-Authorization` that it requires. */
  login: string | undefined;
  /** The ports of 127.0.0.1 to which every CONNECT leads, and every request without TLS. */
  readonly #secure: number;
  readonly #plain: number;
  readonly #server = createServer();
  readonly #sockets = new Set<Socket>();

  static async start(ports: { secure?: number; plain?: number }): Promise<StandInProxy> {
    const proxy = new StandInProxy(ports);
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  private constructor({ secure = 1, plain = 1 }: { secure?: number; plain?: number }) {
    this.#secure = secure;
    this.#plain = plain;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
    });
    this.#server.on('connect', (request, socket: Socket) => this.#connect(request, socket));
    this.#server.on('request', (request, response) => {
      this.asked.push(`${request.method} ${request.url}`);
      if (request.headers['proxy-authorization'] !== this.login) {
        response.writeHead(407, { 'proxy-authenticate': 'Basic realm="proxy"' }).end();
        return;
      }
      const url = new URL(request.url ?? '');
      const { 'proxy-authorization': _, ...headers } = request.headers;
      const path = `${url.pathname}${url.search}`;
      const { method = 'GET' } = request;
      requestHttp({ port: this.#plain, host: '127.0.0.1', method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      }).end();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #connect({ url, headers }: IncomingMessage, socket: Socket): void {
    this.asked.push(`CONNECT ${url}`);
    if (this.behaviour === 'hangs') return;
    const status =
      headers['proxy-authorization'] !== this.login
        ? 407
        : this.behaviour === 'connects'
          ? 200
          : this.behaviour.status;
    socket.write(`HTTP/1.1 ${status} x\r\n${status === 407 ? 'Proxy-Authenticate: Basic\r\n' : ''}\r\n`);
    if (status !== 200) return void socket.end();
    const onward = connect(this.#secure, '127.0.0.1');
    this.#sockets.add(onward);
    onward.on('error', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
