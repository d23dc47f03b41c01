import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * The network that somebody logs in from: /24 of IPv4, also where it is mapped into IPv6, and /64 of IPv6, which is what
 * one customer has at the least. Networks are the same where this is.
 */
export function loginNetwork(address: string): string {
  if (isIP(address) === 0) return '';
  const ip = ipaddr.process(address);
  const isIPv4 = ip.kind() === 'ipv4';
  return [ip.kind(), ...ip.toByteArray().slice(0, isIPv4 ? 3 : 8)].join(' ');
}
