import { once } from 'node:events';
import { type IncomingMessage, request as requestHttp, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { makeAuthority, type TestPair } from '../../support/certificates.ts';
import { FakeHub, type HubServer } from '../../support/fake-hub.ts';
import { ADDRESSES, HUB_NAMES } from './network.ts';
import { PushedContent } from './pushed-content.ts';

/**
 * Docker Hub and ghcr.io under their own names, at one address for the mirror and at another one for
 * everybody else.
 */
export interface StandInHub extends AsyncDisposable {
  readonly docker: FakeHub;
  /** A registry without an endpoint for referrers. */
  readonly github: FakeHub;
  /** The authority that signed the certificates of these names, as PEM. */
  readonly authority: string;
  /** The entrance that the mirror reaches. */
  readonly forMirror: Entrance;
  /** The entrance that every other machine reaches: a request here has bypassed the mirror. */
  readonly direct: Entrance;
}

export async function startHub(): Promise<StandInHub> {
  const docker = await FakeHub.start({
    token: new URL('https://auth.docker.io'),
    cdn: new URL('https://production.cloudfront.docker.com'),
  });
  const github = await FakeHub.start({
    token: new URL('https://ghcr.io'),
    cdn: new URL('https://pkg-containers.githubusercontent.com'),
  });
  docker.referrersPerPage = 10;
  const routes: Routes = (host, path) => {
    if (host === 'auth.docker.io') return [docker, 'token'];
    if (host === 'production.cloudfront.docker.com') return [docker, 'cdn'];
    if (host === 'pkg-containers.githubusercontent.com') return [github, 'cdn'];
    if (host === 'ghcr.io') return [github, path.startsWith('/token') ? 'token' : 'registry'];
    return [docker, 'registry'];
  };
  const authority = makeAuthority('the authority of the stand-in Hub');
  const pair = authority.issue({
    commonName: HUB_NAMES[0],
    altNames: HUB_NAMES.map((value) => ({ type: 2, value })),
    usage: { serverAuth: true },
  });
  const pushed = new PushedContent();
  const forMirror = await Entrance.open(ADDRESSES.upstream, pair, routes, pushed);
  const direct = await Entrance.open(ADDRESSES.direct, pair, routes, pushed);
  return {
    ...{ docker, github, authority: authority.cert, forMirror, direct },
    async [Symbol.asyncDispose]() {
      for (const part of [forMirror, direct, docker, github]) await part[Symbol.asyncDispose]();
    },
  };
}

type Routes = (host: string, path: string) => readonly [FakeHub, HubServer];

/** One address of the Hub, which records the requests there. */
export class Entrance implements AsyncDisposable {
  readonly #server: Server;
  readonly #routes: Routes;
  readonly #pushed: PushedContent;
  #seen: string[] = [];
  #isReachable = true;

  static async open(
    address: string,
    pair: TestPair,
    routes: Routes,
    pushed: PushedContent,
  ): Promise<Entrance> {
    const entrance = new Entrance(createServer(pair), routes, pushed);
    entrance.#server.listen(443, address);
    await once(entrance.#server, 'listening');
    return entrance;
  }

  private constructor(server: Server, routes: Routes, pushed: PushedContent) {
    this.#server = server;
    this.#routes = routes;
    this.#pushed = pushed;
    server.on('connection', (socket) => {
      if (this.#isReachable) return;
      this.#seen.push('a connection');
      socket.resetAndDestroy();
    });
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  /** Resets every connection, as if a firewall stood before the Hub or it had gone. */
  cutOff(): void {
    this.#isReachable = false;
    this.#server.closeAllConnections();
  }

  restore(): void {
    this.#isReachable = true;
  }

  /**
   * Returns the requests since the last call, as `GET auth.docker.io/token`, and each connection while it was
   * cut off.
   */
  takeRequests(): string[] {
    return this.#seen.splice(0);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const host = headers.host ?? '';
    const [path = ''] = url.split('?');
    this.#seen.push(`${method} ${host}${path}`);
    const [hub, server] = this.#routes(host, path);
    const isPush = server === 'registry' && ['POST', 'PATCH', 'PUT'].includes(method);
    // The token service issues tokens by GET only.
    if (server === 'token' && method !== 'GET') response.writeHead(405).end();
    else if (isPush) await this.#pushed.answer(request, response, hub);
    else forward(request, response, hub.listeningAt(server), this.#acceptOf(request));
  }

  /**
   * Returns the types that the Hub sees. The Hub of other tests is strict with a mirror that leaves types
   * out; other clients may ask for one type.
   */
  #acceptOf({ headers }: IncomingMessage): string | undefined {
    return headers['user-agent']?.startsWith('hubgate') ? headers.accept : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

const EVERY_TYPE = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

function forward(
  { method, url, headers: asked }: IncomingMessage,
  response: ServerResponse,
  to: URL,
  accept = EVERY_TYPE,
): void {
  const headers = { ...asked, accept };
  const forwarded = requestHttp({ host: to.hostname, port: to.port, method, path: url, headers });
  forwarded.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  forwarded.on('error', () => response.destroy());
  response.on('close', () => forwarded.destroy());
  forwarded.end();
}
