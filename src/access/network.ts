import { BlockList, isIP } from 'node:net';

/** A set of IP networks; addresses of IPv4 clients on a dual-stack listener (`::ffff:10.1.2.3`) count as IPv4. */
export interface Network {
  contains(address: string): boolean;
}

/** `10.0.0.0/8`, `2001:db8::/32` or a single address; undefined where one of them is none. */
export function parseNetwork(cidrs: readonly string[]): Network | undefined {
  const networks: Networks = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const cidr of cidrs) if (!add(networks, cidr)) return undefined;
  return {
    contains(address) {
      const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
      const family = isIP(plain);
      if (family === 0) return false;
      return family === 4 || isMapped(plain)
        ? networks.ipv4.check(plain, family === 4 ? 'ipv4' : 'ipv6')
        : networks.ipv6.check(plain, 'ipv6');
    },
  };
}

/** Apart, for `BlockList` takes every IPv4 address for one of `::/0` too. */
interface Networks {
  readonly ipv4: BlockList;
  readonly ipv6: BlockList;
}

function add(networks: Networks, cidr: string): boolean {
  // A zone is this machine's own, and no part of what a peer's address is compared with.
  if (cidr.includes('%')) return false;
  const [address = '', prefix, ...rest] = cidr.split('/');
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : Number(prefix);
  const wellFormed = prefix === undefined || /^\d{1,3}$/.test(prefix);
  if (family === 0 || rest.length > 0 || !wellFormed || length > bits) return false;
  if (family === 4) networks.ipv4.addSubnet(address, length, 'ipv4');
  else (isMapped(address) && length >= 96 ? networks.ipv4 : networks.ipv6).addSubnet(address, length, 'ipv6');
  return true;
}

const MAPPED = new BlockList();
MAPPED.addSubnet('::ffff:0:0', 96, 'ipv6');

/** In any of its spellings: `::ffff:10.1.2.3`, `::ffff:a01:203`, `0:0:0:0:0:ffff:a01:203`. */
function isMapped(address: string): boolean {
  return MAPPED.check(address, 'ipv6');
}
