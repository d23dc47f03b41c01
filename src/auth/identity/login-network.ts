import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Returns the network of a client: the /24 of IPv4, even if it is mapped into IPv6, and the /64 of IPv6,
 * because one customer has at least that. Two addresses are in the same network if the result is the same.
 */
export function loginNetwork(address: string): string {
  return prefixOf(address, 8);
}

/**
 * Returns the site of a client: the /48 of IPv6, because one customer may have that much (RFC 6177), and the
 * /24 of IPv4.
 */
export function loginSite(address: string): string {
  return prefixOf(address, 6);
}

function prefixOf(address: string, bytesOfIPv6: number): string {
  if (isIP(address) === 0) return '';
  const ip = ipaddr.process(address);
  const isIPv4 = ip.kind() === 'ipv4';
  return [ip.kind(), ...ip.toByteArray().slice(0, isIPv4 ? 3 : bytesOfIPv6)].join(' ');
}
