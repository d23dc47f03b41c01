import { isIP } from 'node:net';
import { z } from 'zod';
import { parseNetwork } from '../platform/network.ts';
import { SIZE_UNITS } from '../platform/size-units.ts';
import { parseAmount } from '../platform/windowed-amount.ts';

/**
 * The scalars of hubgate.yaml. A number or a boolean may be quoted, because it is text in the environment.
 */

const SECOND = 1_000;
const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a duration to milliseconds. `0` needs no unit. */
export function duration(least = 0, most = Number.POSITIVE_INFINITY, range = '') {
  const expected = `a duration such as 60s, 5m, 12h or 7d${range}`;
  return z
    .union([z.string().regex(/^(?:\d{1,9}[smhd]|0)$/, expected), z.literal(0)], expected)
    .transform((value) => Number.parseInt(String(value), 10) * (UNITS[String(value).slice(-1)] ?? 0))
    .refine((ms) => ms >= least && ms <= most, expected);
}

/** Writes milliseconds in the largest unit that divides them, as people do. */
export function formatDuration(milliseconds: number): string {
  const units = Object.entries(UNITS).toReversed();
  const [unit, length] = units.find(([, length]) => milliseconds % length === 0) ?? ['s', SECOND];
  return `${Math.floor(milliseconds / length)}${unit}`;
}

/** Parses a size to bytes. */
function size(expected: string) {
  return z
    .string(expected)
    .regex(/^\d{1,9}[KMGT]iB$/, expected)
    .transform((text) => Number.parseInt(text, 10) * (SIZE_UNITS[text.slice(-3)] ?? 0));
}

export const SIZE = size('a size such as 512MiB, 100GiB or 2TiB');

export function sizeBetween(least: string, most: string) {
  const [from, to] = [SIZE.parse(least), SIZE.parse(most)];
  const expected = `a size from ${least} to ${most}`;
  return size(expected).refine((bytes) => bytes >= from && bytes <= to, expected);
}

export interface PullQuota {
  readonly pulls: number;
  readonly windowMs: number;
}

const A_QUOTA = 'pulls in a time from 1m to 31d, such as 5000/24h';

/** Parses a number of pulls and the window that they are counted in. */
export const QUOTA = z.string(A_QUOTA).transform((text, context): PullQuota => {
  const amount = parseAmount(text, 'pulls');
  if (amount !== undefined) return { pulls: amount.max, windowMs: amount.windowMs };
  context.addIssue({ code: 'custom', message: A_QUOTA });
  return z.NEVER;
});

const A_BANDWIDTH = 'bytes in a second, from 64KiB/s on, such as 100MiB/s';
/** With less than this, one download takes longer than clients wait. */
const LEAST_BANDWIDTH = 64 * 2 ** 10;

/** Parses a number of bytes in a second. */
export const BANDWIDTH = z.string(A_BANDWIDTH).transform((text, context): number => {
  const bytes = SIZE.safeParse(text.replace(/\/s$/, ''));
  if (text.endsWith('/s') && bytes.success && bytes.data >= LEAST_BANDWIDTH) return bytes.data;
  context.addIssue({ code: 'custom', message: A_BANDWIDTH });
  return z.NEVER;
});

export function wholeNumber(least: number, most: number, expected: string) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value),
    z.int(expected).min(least, expected).max(most, expected),
  );
}

export const BOOLEAN = z.preprocess(
  (value) => (value === 'true' || value === 'false' ? value === 'true' : value),
  z.boolean('true or false'),
);

const NETWORKS = 'a list of networks and addresses, such as [10.0.0.0/24, 192.0.2.7]';
const ONE_NETWORK = 'a network such as 10.0.0.0/24, or an address';

export const NETWORKS_LIST = z.array(
  z.string(ONE_NETWORK).refine((text) => parseNetwork([text]) !== undefined, ONE_NETWORK),
  NETWORKS,
);

export interface ListenAddress {
  /** Absent: every address of the machine, IPv6 and IPv4. */
  readonly host?: string;
  readonly port: number;
  /** A listening socket that the serving process receives, and uses instead of both. It is not a setting. */
  readonly fd?: number;
  /** True if several processes listen there, each for itself. The configuration file has no such setting. */
  readonly reusePort?: boolean;
}

const LISTEN = 'an address to listen on, such as :8443 or 127.0.0.1:9090';

export const LISTEN_ADDRESS = z.string(LISTEN).transform((text, context): ListenAddress => {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535 && (match[1] === undefined || isIP(match[1]) === 6)) {
    return host === undefined || host === '' ? { port } : { host, port };
  }
  context.addIssue({ code: 'custom', message: LISTEN });
  return z.NEVER;
});

/**
 * Parses the origin of a server. It refuses anything beyond scheme, host and port, which would be silently
 * lost.
 */
export function origin(schemes: readonly string[], expected: string) {
  return z.string(expected).transform((text, context): URL => {
    const url = URL.parse(text);
    const bare =
      url !== null && url.pathname === '/' && `${url.search}${url.hash}${url.username}${url.password}` === '';
    if (bare && schemes.includes(url.protocol)) return url;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

export interface ParsedProxy {
  /** The origin, without the login. */
  readonly url: string;
  readonly login?: { readonly username: string; readonly password: string };
}

/** Parses the address of an HTTP proxy as `HTTPS_PROXY` has it: with a login, or without a scheme. */
export function parseProxy(text: string): ParsedProxy | undefined {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') return undefined;
  if (url.pathname !== '/' || `${url.search}${url.hash}` !== '') return undefined;
  try {
    const [username, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
    return { url: url.origin, ...(username !== '' && { login: { username, password } }) };
  } catch {
    return undefined;
  }
}

const A_PROXY = 'the address of an HTTP proxy, such as http://proxy.corp:3128';

export const PROXY = z.string(A_PROXY).transform((text, context): ParsedProxy => {
  const proxy = parseProxy(text);
  if (proxy !== undefined) return proxy;
  context.addIssue({ code: 'custom', message: A_PROXY });
  return z.NEVER;
});

const PATH_SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Parses the address of a registry, which may have a path. */
export function registryUrl(expected: string) {
  return z.string(expected).transform((text, context): URL => {
    const url = URL.parse(text);
    const wrong = url === null ? '' : whyNoRegistry(url);
    if (url !== null && wrong === undefined) return new URL(`/${segmentsOf(url).join('/')}`, url);
    context.addIssue({ code: 'custom', message: `${expected}${wrong}` });
    return z.NEVER;
  });
}

function segmentsOf({ pathname }: URL): readonly string[] {
  return pathname.split('/').filter((segment) => segment !== '');
}

function whyNoRegistry(url: URL): string | undefined {
  const { protocol, search, hash, username, password } = url;
  if (protocol !== 'https:' && protocol !== 'http:') return '';
  if (`${username}${password}` !== '') return '; a login has keys of its own';
  if (`${search}${hash}` !== '') return '; nothing follows its path';
  const bad = segmentsOf(url).find((segment) => !PATH_SEGMENT.test(segment));
  return bad === undefined ? undefined : `; "${bad}" cannot be a part of its path`;
}
