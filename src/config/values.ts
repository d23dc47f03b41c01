import { isIP } from 'node:net';
import { z } from 'zod';

/** The scalars of hubgate.yaml. A number or a truth value may be quoted, because from the environment it is text. */

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNITS;

/** Milliseconds. `0` needs no unit. */
export function duration(least = 0, most = Number.POSITIVE_INFINITY, range = '') {
  const expected = `a duration such as 60s, 5m, 12h or 7d${range}`;
  return z
    .union([z.string().regex(/^(?:\d{1,9}[smhd]|0)$/, expected), z.literal(0)], expected)
    .transform((value) => Number.parseInt(String(value), 10) * (UNITS[String(value).at(-1) as Unit] ?? 0))
    .refine((ms) => ms >= least && ms <= most, expected);
}

/** Writes milliseconds in the largest unit that divides them, as people do. */
export function writeDuration(milliseconds: number): string {
  const units = Object.entries(UNITS).toReversed();
  const [unit, length] = units.find(([, length]) => milliseconds % length === 0) ?? ['s', UNITS.s];
  return `${Math.floor(milliseconds / length)}${unit}`;
}

const SIZE_UNITS = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** Bytes. */
function size(expected: string) {
  return z
    .string(expected)
    .regex(/^\d{1,9}[KMGT]iB$/, expected)
    .transform((text) => Number.parseInt(text, 10) * SIZE_UNITS[text.slice(-3) as keyof typeof SIZE_UNITS]);
}

export const SIZE = size('a size such as 512MiB, 100GiB or 2TiB');

export function sizeBetween(least: string, most: string) {
  const [from, to] = [SIZE.parse(least), SIZE.parse(most)];
  const expected = `a size from ${least} to ${most}`;
  return size(expected).refine((bytes) => bytes >= from && bytes <= to, expected);
}

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

export interface ListenAddress {
  /** Absent: every address of the machine, IPv6 and IPv4. */
  readonly host?: string;
  readonly port: number;
  /** A listening socket that the process which serves is given, in the place of both; no setting. */
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

/** The origin of a server: anything beyond scheme, host and port would be silently lost. */
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

/** `localhost`, 127/8 and ::1: bytes to them do not leave the machine. Takes a URL's `hostname`. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  );
}
