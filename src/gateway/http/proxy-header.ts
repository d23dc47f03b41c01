/**
 * The PROXY protocol, versions 1 and 2: a balancer sends a header before a client's first byte to say who the
 * client is. https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
 */
import { isIPv4, isIPv6 } from 'node:net';
import { MAX_PROXY_HEADER } from '../limits.ts';
import { type ClientAddress, parseClientAddress } from './client-address.ts';

export type ProxyHeader =
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly reason: string }
  | {
      readonly kind: 'complete';
      /** The length in bytes. The bytes that follow are the client's. */
      readonly length: number;
      /** Absent if the balancer speaks for itself, for example to check this server's health. */
      readonly source?: ClientAddress;
    };

/** The header of a connection that was made to test this server, and not for a client. */
export const HEADER_WITHOUT_CLIENT = 'PROXY UNKNOWN\r\n';

/** The longest header of version 1, with its line end. */
const MOST_V1 = 107;

const START_V1 = Buffer.from('PROXY ');
const START_V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** The bytes before the addresses: the signature, the command, the family and the length of the rest. */
const FIXED_V2 = 16;
const TCP4 = 0x11;
const TCP6 = 0x21;
/** The families without an IP address: unspecified, and unix sockets. */
const NO_ADDRESS: ReadonlySet<number> = new Set([0x00, 0x31]);

export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, START_V1)) return bytes.length < START_V1.length ? INCOMPLETE : parseV1(bytes);
  if (startsLike(bytes, START_V2)) return bytes.length < FIXED_V2 ? INCOMPLETE : parseV2(bytes);
  return invalid('it does not begin with a PROXY header');
}

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };

function invalid(reason: string): ProxyHeader {
  return { kind: 'invalid', reason };
}

/** True as long as the received bytes may still become `start`. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function parseV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, MOST_V1).indexOf('\r\n');
  if (end < 0)
    return bytes.length < MOST_V1 ? INCOMPLETE : invalid(`its PROXY line is longer than ${MOST_V1} bytes`);
  const line = bytes.toString('latin1', 0, end);
  const length = end + 2;
  // The specification says that the rest of such a line has no meaning.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { kind: 'complete', length };
  const [, family, source = '', destination = '', ...ports] = line.split(' ');
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined;
  const areValid = isAddress?.(source) && isAddress(destination) && ports.length === 2 && ports.every(isPort);
  return withSource(areValid ? source : '', length);
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function parseV2(bytes: Buffer): ProxyHeader {
  const command = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const length = FIXED_V2 + bytes.readUInt16BE(14);
  if (command !== 0x20 && command !== 0x21)
    return invalid('its PROXY header has a version or a command that is not known');
  if (length > MAX_PROXY_HEADER) return invalid(`its PROXY header is longer than ${MAX_PROXY_HEADER} bytes`);
  if (bytes.length < length) return INCOMPLETE;
  if (command === 0x20 || NO_ADDRESS.has(family)) return { kind: 'complete', length };
  return withSource(sourceOfV2(bytes.subarray(FIXED_V2, length), family), length);
}

/**
 * Returns the client's address, or an empty text if there is none. The block contains the addresses of client
 * and balancer, and then their ports.
 */
function sourceOfV2(block: Buffer, family: number): string {
  if (family === TCP4 && block.length >= 12) return block.subarray(0, 4).join('.');
  if (family !== TCP6 || block.length < 36) return '';
  return Array.from({ length: 8 }, (_, word) => block.readUInt16BE(2 * word).toString(16)).join(':');
}

function withSource(text: string, length: number): ProxyHeader {
  const source = parseClientAddress(text);
  return source === undefined
    ? invalid('its PROXY header has no TCP addresses')
    : { kind: 'complete', length, source };
}
