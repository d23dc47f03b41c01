import { isIP } from 'node:net';

/** Ends of names which the public DNS cannot hold (RFC 6761, RFC 6762, ICANN's `.internal`), and those of services in Kubernetes. */
const PRIVATE = /\.(?:localhost|local|internal|svc)$/;

/**
 * Is a request for this machine by the name that its `Host` gives? A page that somebody opens in a browser here could make a
 * name of its own lead to this address (DNS rebinding), and read what a listener without a login answers. So the name must be
 * an address, one of `names`, or one that nobody can register.
 */
export function isOwnHost(host: string | undefined, names: ReadonlySet<string>): boolean {
  // HTTP/1.0, which no browser speaks.
  if (host === undefined) return true;
  const name = host
    .toLowerCase()
    .replace(/:\d{1,5}$/, '')
    .replace(/\.$/, '');
  if (isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0) return true;
  return name !== '' && (!name.includes('.') || PRIVATE.test(name) || names.has(name));
}
