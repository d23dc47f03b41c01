import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

const MAPPED = '::ffff:';

/**
 * The TCP peer's address, of an IPv4 client on a dual-stack listener as IPv4: `10.1.2.3`, not `::ffff:10.1.2.3`. Empty where
 * the client has gone already. What a proxy may have written into headers is not believed.
 */
export function peerAddress({ socket }: Pick<IncomingMessage, 'socket'>): string {
  const { remoteAddress: address = '' } = socket;
  return address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address;
}

/**
 * Returns the key by which requests of an address are counted: its /64 for IPv6, because one customer has at
 * least that many addresses.
 */
export function addressKey(address: string): string {
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return address;
  return ipaddr.IPv6.parse(address).parts.slice(0, 4).join(':');
}
