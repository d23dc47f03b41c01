import { BlockList, isIP } from 'node:net';

/** The way in which connections leave the company's network. */
export interface EgressOptions {
  /** The proxies for `https:` URLs and for `http:` URLs. */
  readonly https?: ProxyOptions;
  readonly http?: ProxyOptions;
  /** The hosts to which connections are direct. */
  readonly noProxy: readonly string[];
  /** Certificates of authorities, as PEM, which are trusted in addition to the usual ones. */
  readonly authorities?: readonly string[];
}

export interface ProxyOptions {
  /** The origin of the proxy, without a login. */
  readonly url: string;
  readonly login?: ProxyLogin;
}

export type ProxyLogin = { readonly username: string } & (
  | { readonly password: string }
  | { readonly passwordFile: string }
);

/** The target of a connection, such as a URL. */
export interface ProxiedTarget {
  readonly protocol: string;
  /** The host name; an IPv6 address may be in brackets. */
  readonly hostname: string;
  /** Empty if it is the default port of the protocol. */
  readonly port: string;
}

/**
 * Returns the proxy for a target; undefined if the connection is direct. This machine itself is never reached
 * through a proxy.
 */
export function proxyFor(target: ProxiedTarget, egress: EgressOptions | undefined): ProxyOptions | undefined {
  const proxy = target.protocol === 'https:' ? egress?.https : egress?.http;
  if (egress === undefined || proxy === undefined) return undefined;
  const host = target.hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  if (host === 'localhost' || LOOPBACK.check(host, familyOf(host))) return undefined;
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  return egress.noProxy.some((entry) => matches(entry.trim().toLowerCase(), host, port)) ? undefined : proxy;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * Matches an entry of `NO_PROXY` as Go's programs do, docker and containerd among them. An entry is `*`; an
 * address or a CIDR, for hosts that are written as addresses; `corp.example` for this host and those below
 * it; or `.corp.example` or `*.corp.example` for those below it. A port may follow.
 * https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInSubnet(entry, host);
  const { name, port: entryPort } = splitPort(entry);
  if (name === '' || (entryPort !== undefined && entryPort !== port)) return false;
  const wanted = name.replace(/^\[|\]$/g, '');
  if (isIP(wanted) !== 0) return isSameAddress(wanted, host);
  const below = wanted.replace(/^\*?\./, '.');
  return below.startsWith('.') ? host.endsWith(below) : host === wanted || host.endsWith(`.${wanted}`);
}

function splitPort(entry: string): { readonly name: string; readonly port?: string } {
  const at = entry.lastIndexOf(':');
  const port = entry.slice(at + 1);
  if (at < 0 || isIP(entry) === 6 || !/^\d+$/.test(port)) return { name: entry };
  return { name: entry.slice(0, at), port };
}

function isInSubnet(entry: string, host: string): boolean {
  const [network = '', bits = ''] = entry.split('/');
  const family = familyOf(network);
  if (isIP(network) === 0 || isIP(host) === 0 || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === 'ipv6' ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(host, familyOf(host));
}

function isSameAddress(address: string, host: string): boolean {
  if (isIP(host) === 0) return false;
  const list = new BlockList();
  list.addAddress(address, familyOf(address));
  return list.check(host, familyOf(host));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
