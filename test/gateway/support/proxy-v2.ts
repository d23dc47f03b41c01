import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface HeaderOptions {
  /** The client's address; absent: the header has none. */
  readonly source?: string;
  /** The version and command: 0x21 is PROXY, 0x20 is LOCAL. */
  readonly command?: number;
  /** The family; by default that of the address, with TCP. */
  readonly family?: number;
  /** The bytes after the addresses. */
  readonly more?: Buffer;
}

/** Makes a header of version 2 of the PROXY protocol, as a balancer writes it. */
export function proxyV2({ source, command = 0x21, family, more = Buffer.alloc(0) }: HeaderOptions): Buffer {
  const isV6 = source !== undefined && isIPv6(source);
  const address = source === undefined ? [] : ipaddr.parse(source).toByteArray();
  const addresses = address.length === 0 ? [] : [...address, ...address, 0xc3, 0xcb, 0x01, 0xbb];
  const rest = Buffer.concat([Buffer.from(addresses), more]);
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n____', 'latin1');
  head.writeUInt8(command, 12);
  head.writeUInt8(family ?? (source === undefined ? 0 : isV6 ? 0x21 : 0x11), 13);
  head.writeUInt16BE(rest.length, 14);
  return Buffer.concat([head, rest]);
}
