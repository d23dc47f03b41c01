import { isIP } from 'node:net';

/**
 * Suffixes that the public DNS cannot contain (RFC 6761, RFC 6762, ICANN's `.internal`), and the suffix of
 * services in Kubernetes.
 */
const PRIVATE = /\.(?:localhost|local|internal|svc)$/;

/**
 * True if the `Host` of a request belongs to this machine. A page in a browser here could make its own name
 * resolve to this address (DNS rebinding), and then read the answers of a listener without a login. The name
 * must therefore be an address, one of `names`, or a name that nobody can register.
 */
export function isOwnHost(host: string | undefined, names: ReadonlySet<string>): boolean {
  // Only an HTTP/1.0 request may lack a `Host`, and no browser sends one.
  if (host === undefined) return true;
  const name = host
    .toLowerCase()
    .replace(/:\d{1,5}$/, '')
    .replace(/\.$/, '');
  if (isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0) return true;
  return name !== '' && (!name.includes('.') || PRIVATE.test(name) || names.has(name));
}
