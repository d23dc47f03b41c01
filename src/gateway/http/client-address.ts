/**
 * This is the only module that decides which address a client has. Rules with `from`, login delays, bounds
 * per address and the audit log take a `ClientAddress`, and nothing else makes one, so none of them can use
 * the address of a balancer.
 */
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Network } from '../../platform/network.ts';
import type { Brand } from '../../registry/brand.ts';
import { MAX_FORWARDED_ADDRESSES } from '../limits.ts';

/**
 * An IP address. An IPv4-mapped IPv6 address is written as IPv4. It is empty if the client has gone already.
 */
export type ClientAddress = Brand<string, 'ClientAddress'>;

export type AddressOf = (request: Pick<IncomingMessage, 'socket' | 'headers'>) => ClientAddress;

type ConnectionPeer = Pick<Socket, 'remoteAddress'>;

export interface AddressOptions {
  /** The proxies whose `X-Forwarded-For` counts. If absent, it never counts. */
  readonly trustedProxies?: Network | undefined;
  /**
   * Returns the other end of a connection, which a PROXY header may have named. If absent, it is the TCP
   * peer.
   */
  readonly peerOf?: ((socket: Socket) => ClientAddress) | undefined;
}

const MAPPED = '::ffff:';
const FORWARDED = 'x-forwarded-for';

/**
 * Returns the address of the TCP peer. The address of an IPv4 client on a dual-stack listener is written as
 * IPv4: `10.1.2.3`, not `::ffff:10.1.2.3`.
 */
export function peerAddress({ remoteAddress: address = '' }: ConnectionPeer): ClientAddress {
  const plain = address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address;
  return plain as ClientAddress;
}

/** Parses an address that a proxy sent. A zone (`fe80::1%eth0`) has a meaning only on the proxy's machine. */
export function parseClientAddress(text: string): ClientAddress | undefined {
  const family = isIP(text);
  if (family === 0 || text.includes('%')) return undefined;
  return (family === 4 ? text : ipaddr.process(text).toString()) as ClientAddress;
}

export function createAddressOf({ trustedProxies, peerOf = peerAddress }: AddressOptions): AddressOf {
  if (trustedProxies === undefined) return ({ socket }) => peerOf(socket);
  // A connection's other end never changes.
  const trusted = new WeakMap<Socket, boolean>();
  return ({ socket, headers }) => {
    const peer = peerOf(socket);
    const forwarded = headers[FORWARDED];
    if (typeof forwarded !== 'string') return peer;
    const isTrusted = trusted.get(socket) ?? trustedProxies.contains(peer);
    trusted.set(socket, isTrusted);
    return isTrusted ? forwardedAddress(forwarded, peer, trustedProxies) : peer;
  };
}

/**
 * Returns the right-most address that is not a trusted proxy's. Each proxy adds its own client at the right,
 * so everything further left is a claim of that client. If a proxy wrote something else than an address
 * (`unknown`), the last known address is that proxy's own. If all addresses are trusted, the request began at
 * the left-most one.
 */
function forwardedAddress(header: string, peer: ClientAddress, trustedProxies: Network): ClientAddress {
  let address = peer;
  let end = header.length;
  for (let count = 0; count < MAX_FORWARDED_ADDRESSES && end > 0; count++) {
    const comma = header.lastIndexOf(',', end - 1);
    const claimed = parseClientAddress(withoutPort(header.slice(comma + 1, end).trim()));
    if (claimed === undefined) return address;
    address = claimed;
    if (!trustedProxies.contains(address)) return address;
    end = comma;
  }
  return address;
}

/** Some balancers (Azure's) add the client's port: `192.0.2.7:50123`, `[2001:db8::7]:50123`. */
function withoutPort(text: string): string {
  return /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? text;
}

/**
 * Returns the key by which requests of an address are counted: its /64 for IPv6, because one customer has at
 * least that many addresses.
 */
export function addressKey(address: ClientAddress): string {
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return address;
  return ipaddr.IPv6.parse(address).parts.slice(0, 4).join(':');
}
