import { BlockList, isIP } from 'node:net';

/** A set of IP networks; addresses of IPv4 clients on a dual-stack listener (`::ffff:10.1.2.3`) count as IPv4. */
export interface Network {
  contains(address: string): boolean;
}

/** `10.0.0.0/8`, `2001:db8::/32` or a single address; undefined where one of them is none. */
export function parseNetwork(cidrs: readonly string[]): Network | undefined {
  const list = new BlockList();
  for (const cidr of cidrs) if (!add(list, cidr)) return undefined;
  return {
    contains(address) {
      const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
      const family = isIP(plain);
      return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

function add(list: BlockList, cidr: string): boolean {
  const [address = '', prefix, ...rest] = cidr.split('/');
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : Number(prefix);
  const wellFormed = prefix === undefined || /^\d{1,3}$/.test(prefix);
  if (family === 0 || rest.length > 0 || !wellFormed || length > bits) return false;
  list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6');
  return true;
}
