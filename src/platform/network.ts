import { BlockList, isIP } from 'node:net';

/**
 * A set of IP networks. The addresses of IPv4 clients on a dual-stack listener (`::ffff:10.1.2.3`) count as
 * IPv4.
 */
export interface Network {
  contains(address: string): boolean;
}

/** Parses `10.0.0.0/8`, `2001:db8::/32` or single addresses; undefined if one of them is invalid. */
export function parseNetwork(cidrs: readonly string[]): Network | undefined {
  const subnets: Subnet[] = [];
  for (const cidr of cidrs) {
    const subnet = parseSubnet(cidr);
    if (subnet === undefined) return undefined;
    subnets.push(subnet);
  }
  // The lists are made at the first question: that costs more than the rest of a rule, and most rules are
  // never asked.
  let networks: Networks | undefined;
  return {
    contains(address) {
      const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
      const family = isIP(plain);
      if (family === 0) return false;
      networks ??= networksOf(subnets);
      return family === 4 || isMapped(plain)
        ? networks.ipv4.check(plain, family === 4 ? 'ipv4' : 'ipv6')
        : networks.ipv6.check(plain, 'ipv6');
    },
  };
}

/** @throws if one of them is invalid, because they were checked before they were stored */
export function networkOf(cidrs: readonly string[]): Network {
  const network = parseNetwork(cidrs);
  if (network === undefined) throw new Error(`${cidrs.join(', ')} are no networks`);
  return network;
}

interface Subnet {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
  /** The length of the prefix in bits. */
  readonly length: number;
}

/** The lists are separate, because `BlockList` takes every IPv4 address as one of `::/0` too. */
interface Networks {
  readonly ipv4: BlockList;
  readonly ipv6: BlockList;
}

function parseSubnet(cidr: string): Subnet | undefined {
  // A zone only has a meaning on this machine, and is not part of a peer's address.
  if (cidr.includes('%')) return undefined;
  const [address = '', prefix, ...rest] = cidr.split('/');
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : Number(prefix);
  const wellFormed = prefix === undefined || /^\d{1,3}$/.test(prefix);
  if (family === 0 || rest.length > 0 || !wellFormed || length > bits) return undefined;
  return { address, family: family === 4 ? 'ipv4' : 'ipv6', length };
}

/** Returns the address in a network's text. */
export function addressIn(cidr: string): string {
  return cidr.split('/', 1)[0] ?? cidr;
}

/**
 * Returns the network of an address with a prefix length if bits beyond the prefix are set; undefined if none
 * is.
 */
export function withoutHostBits(cidr: string): string | undefined {
  const subnet = cidr.includes('/') ? parseSubnet(cidr) : undefined;
  if (subnet === undefined) return undefined;
  const { family, length } = subnet;
  const parts = family === 'ipv4' ? subnet.address.split('.').map(Number) : wordsOf(subnet.address);
  const bits = family === 'ipv4' ? 8 : 16;
  const masked = parts.map((part, index) => {
    const kept = Math.min(bits, Math.max(0, length - index * bits));
    return part - (part % 2 ** (bits - kept));
  });
  if (masked.every((part, index) => part === parts[index])) return undefined;
  if (family === 'ipv4') return `${masked.join('.')}/${length}`;
  const written = masked.map((word) => word.toString(16)).join(':');
  return `${new URL(`http://[${written}]`).hostname.slice(1, -1)}/${length}`;
}

/** Returns the eight words of an IPv6 address in any of its spellings. */
function wordsOf(address: string): number[] {
  const [before = '', after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const words = (text: string) =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [first, last] = [words(before), after === undefined ? [] : words(after)];
  return [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
}

function networksOf(subnets: readonly Subnet[]): Networks {
  const networks: Networks = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const { address, family, length } of subnets) {
    const isIpv4 = family === 'ipv4' || (length >= 96 && isMapped(address));
    (isIpv4 ? networks.ipv4 : networks.ipv6).addSubnet(address, length, family);
  }
  return networks;
}

const MAPPED = new BlockList();
MAPPED.addSubnet('::ffff:0:0', 96, 'ipv6');

/**
 * True for an IPv4-mapped address in any spelling: `::ffff:10.1.2.3`, `::ffff:a01:203`,
 * `0:0:0:0:0:ffff:a01:203`.
 */
function isMapped(address: string): boolean {
  return MAPPED.check(address, 'ipv6');
}

/**
 * True for `localhost`, 127/8 and ::1: data sent there does not leave the machine. The parameter is a URL's
 * `hostname`.
 */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  );
}
