import { type Server, Socket } from 'node:net';
import type { Logger } from '../../platform/log.ts';
import type { Network } from '../../platform/network.ts';
import { CONNECTION_LOG_EVERY } from '../limits.ts';
import { type ClientAddress, peerAddress } from './client-address.ts';
import { parseProxyHeader } from './proxy-header.ts';

export interface ProxiedOptions {
  /** The peers whose connections must begin with a PROXY header. */
  readonly peers: Network;
  /** The milliseconds that the header may take to arrive. */
  readonly deadline: number;
  readonly log: Logger;
}

/**
 * The connections of servers behind balancers that write a PROXY header. The bytes of any other peer are read
 * as the client's own, so a PROXY header there is neither TLS nor HTTP and ends the connection.
 */
export class ProxiedConnections {
  readonly #options: ProxiedOptions;
  /**
   * The addresses by their TCP connections. A connection has an entry before its first byte is read as TLS or
   * HTTP.
   */
  readonly #addresses = new WeakMap<Socket, ClientAddress>();
  #loggedAt = Number.NEGATIVE_INFINITY;
  #refused = 0;

  constructor(options: ProxiedOptions) {
    this.#options = options;
  }

  /**
   * Reads the headers of the connections of `server`, which must be new, so that its only listeners are
   * Node's own.
   */
  serve(server: Server): void {
    const begin = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      const peer = peerAddress(socket);
      const pass = (address: ClientAddress) => {
        this.#addresses.set(socket, address);
        for (const listener of begin) listener.call(server, socket);
      };
      if (!this.#options.peers.contains(peer)) return pass(peer);
      const refuse = (reason: string) => this.#refuse(socket, peer, reason);
      readProxyHeader(socket, this.#options.deadline, (source) => pass(source ?? peer), refuse);
    });
  }

  /**
   * Returns the other end of a connection.
   * @throws if the connection was not seen here, because no address is better than a wrong one
   */
  readonly addressOf = (socket: Socket): ClientAddress => {
    const address = this.#addresses.get(socket) ?? this.#addresses.get(tcpConnectionOf(socket));
    if (address === undefined) throw new Error('the address of a connection is not known');
    return address;
  };

  /** A balancer that is configured wrongly serves nobody, so an operator must learn the reason. */
  #refuse(socket: Socket, peer: ClientAddress, reason: string): void {
    socket.destroy();
    this.#refused++;
    const now = performance.now();
    if (now - this.#loggedAt < CONNECTION_LOG_EVERY) return;
    this.#loggedAt = now;
    this.#options.log.warn(
      { peer, reason, refused: this.#refused },
      'a connection of a peer that server.proxyProtocol lists is refused; see docs/load-balancers.md',
    );
  }
}

/**
 * Returns the TCP connection below a TLS connection. Node has no public name for it: the constructor of
 * `TLSSocket` sets `_parent`. With a version of Node that does not set it, no connection is served, see
 * `addressOf`.
 */
function tcpConnectionOf(socket: Socket): Socket {
  const parent = '_parent' in socket ? socket._parent : undefined;
  return parent instanceof Socket ? parent : socket;
}

function readProxyHeader(
  socket: Socket,
  deadline: number,
  accept: (source: ClientAddress | undefined) => void,
  refuse: (reason: string) => void,
): void {
  let bytes = Buffer.alloc(0);
  const stop = () => {
    clearTimeout(timer);
    socket.off('readable', read).off('end', end).off('error', lose).off('close', stop);
  };
  const fail = (reason: string) => {
    stop();
    socket.on('error', () => {});
    refuse(reason);
  };
  const read = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    bytes = Buffer.concat([bytes, chunk]);
    const header = parseProxyHeader(bytes);
    if (header.kind === 'incomplete') return;
    if (header.kind === 'invalid') return fail(header.reason);
    stop();
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    accept(header.source);
  };
  const end = () => fail('it ends within its PROXY header');
  const lose = () => fail('it is lost within its PROXY header');
  const timer = setTimeout(() => fail('its PROXY header does not come in time'), deadline);
  socket.on('readable', read).on('end', end).on('error', lose).on('close', stop);
}
