import { lookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * The part of the network that an address belongs to. `other` are addresses that no registry has: link-local
 * (cloud metadata), multicast, tunnels.
 */
export type AddressKind = 'loopback' | 'private' | 'public' | 'other';

const KINDS: Readonly<Record<string, AddressKind>> = {
  loopback: 'loopback',
  private: 'private',
  uniqueLocal: 'private',
  carrierGradeNat: 'private',
  unicast: 'public',
};

export function kindOfAddress(address: string): AddressKind {
  if (!ipaddr.isValid(address)) return 'other';
  // `process` unwraps IPv4-mapped IPv6 addresses. The other ranges in which IPv6 embeds IPv4 (6to4, NAT64)
  // are `other`.
  return KINDS[ipaddr.process(address).range()] ?? 'other';
}

/** True if the host of a URL is written as an address. */
export function isAddress(hostname: string): boolean {
  return ipaddr.isValid(withoutBrackets(hostname));
}

export function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/**
 * Returns a `lookup` for sockets that yields only addresses of these kinds. The lookup that connects is
 * itself checked, so that a name cannot resolve to one address for the check and to another one for the
 * connection.
 */
export function lookupOnly(kinds: readonly AddressKind[]): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }).then(
      (addresses) => {
        const allowed = addresses.filter(({ address }) => kinds.includes(kindOfAddress(address)));
        if (allowed[0] === undefined)
          callback(new Error(`the host has no ${kinds.join(' or ')} address`), '', 0);
        else if (options.all) callback(null, allowed);
        else callback(null, allowed[0].address, allowed[0].family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}
