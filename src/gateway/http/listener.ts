import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { ChangingSet } from '../../platform/changing-set.ts';
import { drained, type HttpServer } from '../../platform/drain.ts';
import type { Logger } from '../../platform/log.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import { portOf } from '../../platform/port-of.ts';
import { messageOf } from '../../platform/reason.ts';
import { readRegularFile } from '../../platform/regular-file.ts';
import { stateOfFile, type Watch, watchedSlowly, watchFiles } from '../../platform/watched-files.ts';
import type { ConnectionTimes } from '../limits.ts';
import { CONNECTION_LOG_EVERY } from '../limits.ts';
import { limitBodies } from './body-deadlines.ts';
import { type ListenOn, listenOn } from './listen.ts';
import type { ProxiedConnections } from './proxied-connections.ts';
import { closeStopped } from './stopped-clients.ts';

export interface ListenerOptions {
  readonly listen: ListenOn;
  readonly certificate: string;
  readonly key: string;
  /** Returns what is wrong with the certificate and key, and what to do, more helpfully than OpenSSL. */
  readonly explainPair?: () => Promise<string | undefined>;
  /** The authorities whose client certificates are requested. */
  readonly authorities: ObservableValue<readonly X509Certificate[]>;
  /** The most connections at a time. Further ones are closed at once. */
  readonly mostConnections: number;
  readonly times: ConnectionTimes;
  /** True if the body of a request is small, so that it has a deadline as a whole. */
  readonly hasSmallBody: (request: IncomingMessage) => boolean;
  /** Reads the PROXY headers of balancers. If absent, there are none. */
  readonly proxied?: ProxiedConnections | undefined;
  readonly log: Logger;
}

export interface Listener extends AsyncDisposable {
  readonly port: number;
  /** True if it accepts connections. It does not while it drains. */
  readonly isOpen: boolean;
  /** The number of connections that it has, and the most that it may have. */
  readonly connections: { readonly open: number; readonly most: number };
  /** The time at which the presented certificate ends, in milliseconds since the epoch. */
  readonly certificateEnds: number;
}

/** Only AEAD suites with forward secrecy. TLS 1.3 has no others. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * These options belong to every secure context, because a new one inherits nothing from the one before. No
 * session is resumed: without tickets there would only be a session cache, and Node has none unless somebody
 * listens for `resumeSession`. A ticket would outlive the revocation of the certificate that it stands for.
 */
const TLS = {
  minVersion: 'TLSv1.2',
  ciphers: CIPHERS,
  secureOptions:
    constants.SSL_OP_NO_RENEGOTIATION |
    constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
    constants.SSL_OP_NO_TICKET,
  // The file may contain an intermediate authority without its root.
  allowPartialTrustChain: true,
} as const;

/**
 * The public listener: TLS 1.2 and 1.3, HTTP/1.1. A certificate that changes on disk is used from the next
 * connection on.
 */
export async function listenTls(options: ListenerOptions, handler: RequestListener): Promise<Listener> {
  const { log, listen, times } = options;
  const server = createServer(
    {
      ALPNProtocols: ['http/1.1'],
      // A connection without a certificate, or with one that does not count, is accepted: authentication
      // judges it.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: times.handshake,
      ...requestTimes(times),
    },
    handler,
  );
  const connections = takeConnections(server, options);
  server.on('tlsClientError', (error) => log.debug({ reason: error.message }, 'a TLS handshake failed'));
  const certificate = await followCertificate(server, options);
  await listenOn(server, listen);
  return {
    port: portOf(server),
    get isOpen() {
      return server.listening;
    },
    get connections() {
      return { open: connections.open.size, most: options.mostConnections };
    },
    get certificateEnds() {
      return certificate.ends;
    },
    [Symbol.asyncDispose]: async () => {
      certificate.watch[Symbol.dispose]();
      await connections[Symbol.asyncDispose]();
    },
  };
}

export type PlainListenerOptions = Pick<
  ListenerOptions,
  'listen' | 'mostConnections' | 'times' | 'hasSmallBody' | 'proxied' | 'log'
>;

/** The listener without TLS: HTTP/1.1 with the same limits. */
export async function listenPlain(
  options: PlainListenerOptions,
  handler: RequestListener,
): Promise<AsyncDisposable> {
  const server = createHttpServer(requestTimes(options.times), handler);
  const connections = takeConnections(server, options);
  await listenOn(server, options.listen);
  return connections;
}

function requestTimes(times: ConnectionTimes) {
  return {
    headersTimeout: times.requestHeaders,
    // It would end a slow upload, so bodies have deadlines of their own.
    requestTimeout: 0,
    keepAliveTimeout: times.keepAlive,
    connectionsCheckingInterval: times.check,
  };
}

/** Bounds the connections of a new server, and ends them gracefully. */
function takeConnections(server: HttpServer, options: PlainListenerOptions) {
  const { mostConnections, times, hasSmallBody, proxied } = options;
  proxied?.serve(server);
  const drain = drained(server, times.drain);
  server.maxConnections = mostConnections;
  logDropped(server, options);
  leaveContinueToHandlers(server, hasSmallBody);
  const stopped = closeStopped(server, times.inactivity);
  const bodies = limitBodies(server, times, hasSmallBody);
  const open = new ChangingSet<Socket>();
  server.on('connection', (socket: Socket) => {
    const place = open.add(socket);
    socket.once('close', () => open.remove(socket, place));
  });
  return {
    open,
    [Symbol.asyncDispose]: async () => {
      stopped[Symbol.dispose]();
      bodies[Symbol.dispose]();
      await drain[Symbol.asyncDispose]();
    },
  };
}

/**
 * A client that sends `Expect: 100-continue` waits for permission to send its body. Node would give it at
 * once; here a request can be refused first. Whoever reads the body of such a request gives the permission.
 */
function leaveContinueToHandlers(
  server: HttpServer,
  hasSmallBody: (request: IncomingMessage) => boolean,
): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (hasSmallBody(request)) response.writeContinue();
    server.emit('request', request, response);
  });
}

/** Logs a refused connection, because an operator must learn of it. The client does not learn the reason. */
function logDropped(server: HttpServer, { mostConnections, log }: PlainListenerOptions): void {
  let dropped = 0;
  let loggedAt = Number.NEGATIVE_INFINITY;
  server.on('drop', () => {
    dropped++;
    const now = performance.now();
    if (now - loggedAt < CONNECTION_LOG_EVERY) return;
    loggedAt = now;
    log.warn(
      { connections: mostConnections, dropped },
      'connections are refused: as many are open as the limit of open files allows; see "Open files" in docs/operations.md',
    );
  });
}

/**
 * A certificate and a key that do not match change nothing. This happens when one of the files was replaced a
 * moment before the other.
 */
async function followCertificate(
  server: Server,
  { certificate, key, authorities, explainPair, log }: ListenerOptions,
): Promise<{ readonly watch: Watch; readonly ends: number }> {
  // The pair consists of two files, and either may be replaced last.
  const state = async () => (await Promise.all([certificate, key].map(stateOfFile))).join(' ');
  const seen = await state();
  let loaded: string | undefined;
  let ends = Number.NaN;
  const load = async () => {
    try {
      const cert = (await readRegularFile(certificate)).toString('utf8');
      const secret = (await readRegularFile(key)).toString('utf8');
      const ca = authorities.current.map(String);
      const all = [cert, secret, ...ca].join('\n');
      if (all === loaded) return;
      const x509 = new X509Certificate(cert);
      // Node treats an empty key as no key, and then no handshake would succeed.
      if (!x509.checkPrivateKey(createPrivateKey(secret))) throw new Error(`${key} is not its key`);
      server.setSecureContext({ ...TLS, cert, key: secret, ca });
      ends = Date.parse(x509.validTo);
      if (loaded !== undefined) log.info({ certificate }, 'certificate, or client authorities, changed');
      loaded = all;
    } catch (error) {
      if (loaded === undefined) throw error;
      const why = await explainPair?.().catch(() => undefined);
      log.error(
        { certificate, key, reason: why ?? messageOf(error) },
        'certificate refused; the last good one holds',
      );
    }
  };
  await load();
  const watch = watchFiles({ state, seen, load, ...watchedSlowly([certificate, key]), log });
  const again = () => void authorities.changed().then(() => watch.look().then(again));
  again();
  return {
    watch,
    get ends() {
      return ends;
    },
  };
}
