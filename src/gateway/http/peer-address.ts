import type { IncomingMessage } from 'node:http';

const MAPPED = '::ffff:';

/**
 * The TCP peer's address, of an IPv4 client on a dual-stack listener as IPv4: `10.1.2.3`, not `::ffff:10.1.2.3`. Empty where
 * the client has gone already. What a proxy may have written into headers is not believed.
 */
export function peerAddress({ socket }: Pick<IncomingMessage, 'socket'>): string {
  const { remoteAddress: address = '' } = socket;
  return address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address;
}
