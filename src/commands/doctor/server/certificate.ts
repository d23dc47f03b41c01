import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { inHome } from '../../home.ts';
import { type Check, type Finding, type Looked, wrong } from '../checks.ts';
import type { Server } from './checks.ts';

const DAY = 24 * 60 * 60 * 1000;
/** What is left must be more than this, or than a quarter of a short life: by then ACME clients have renewed. */
const LEFT = 30 * DAY;
/** How `src/pki` names its authorities. */
const LOCAL_CA = /^CN=Hubgate local CA /;
/** In the names of a certificate that is made here; of another, nobody expects them. */
const MACHINE_NAMES = new Set([hostname(), 'localhost', '127.0.0.1', '::1']);

interface Certificates {
  readonly server: X509Certificate;
  readonly ca: X509Certificate | undefined;
  /** Was it made here, so that a start makes another one? */
  readonly isOurs: boolean;
}

export function certificateChecks(context: Server): readonly Check[] {
  const { paths, config } = context;
  const file = inHome(config.tls.certificate, paths);
  const each = (name: string, find: (certificates: Certificates) => readonly Finding[]): Check => ({
    name,
    look: async () => {
      const read = await readCertificates(context);
      return 'skipped' in read ? read : { findings: find(read) };
    },
  });
  return [
    { name: 'certificate and key', look: () => pair(context) },
    each('certificate names', (found) => names(file, config.server, found)),
    each('certificate life', (found) => life(file, inHome(paths.ca.certificate, paths), found, context)),
    each('certificate issuer', (found) => issuer(file, found)),
  ];
}

/** That the server's can be read at all is for `pair` to say. */
async function readCertificates({ paths, config }: Server): Promise<Certificates | { skipped: string }> {
  const server = await readCertificate(config.tls.certificate).catch(() => undefined);
  if (server === undefined) return { skipped: 'there is no certificate that can be read' };
  const ca = await readCertificate(paths.ca.certificate);
  return { server, ca, isOurs: LOCAL_CA.test(server.issuer) || server.issuer === ca?.subject };
}

/** Undefined: there is no such file. */
async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  const text = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  return text === undefined ? undefined : new X509Certificate(text);
}

/** Do the server's certificate and key belong together? */
export async function pair({ paths, config: { tls } }: Server): Promise<Looked> {
  const file = inHome(tls.certificate, paths);
  const key = inHome(tls.key, paths);
  const mend = `put a certificate and its key there, as PEM; or remove both, and the next start makes them`;
  try {
    const certificate = await readCertificate(tls.certificate);
    if (certificate === undefined) return { skipped: 'there is none yet; the first start makes it' };
    const fits = certificate.checkPrivateKey(createPrivateKey(await readFile(tls.key)));
    return { findings: fits ? [] : [wrong(key, `is not the key of ${file}`, mend)] };
  } catch (error) {
    return { findings: [wrong(`${file} or ${key}`, `cannot be read: ${(error as Error).message}`, mend)] };
  }
}

function names(
  file: string,
  { url, names }: Server['config']['server'],
  { server, isOurs }: Certificates,
): Finding[] {
  const covers = (name: string) => (isIP(name) === 0 ? server.checkHost(name) : server.checkIP(name));
  const own = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const expected = names.filter((name) => isOurs || name === own || !MACHINE_NAMES.has(name));
  const missing = expected.filter((name) => covers(name) === undefined);
  if (missing.length === 0) return [];
  const mend = isOurs
    ? 'start the mirror anew: it issues one with all names of server.url and server.names'
    : 'have its authority issue one with all names of server.url and server.names';
  return [wrong(file, `is not good for ${missing.join(', ')}`, mend)];
}

function life(
  file: string,
  caFile: string,
  { server, ca, isOurs }: Certificates,
  { clock }: Server,
): Finding[] {
  const anew = isOurs
    ? 'start the mirror anew: it issues another one'
    : 'put a renewed one there, and its key; no restart is needed for that';
  const findings = livesOn(file, server, clock(), anew);
  const mend = `make another authority: move ${caFile} and its key away, start anew, and give the new one to every client`;
  return ca === undefined ? findings : [...findings, ...livesOn(caFile, ca, clock(), mend)];
}

function livesOn(
  file: string,
  { validFromDate, validToDate }: X509Certificate,
  now: number,
  mend: string,
): Finding[] {
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  if (now < from) return [wrong(file, `is not good before ${validFromDate.toISOString()}`, mend)];
  if (now > to) return [wrong(file, `has ended at ${validToDate.toISOString()}`, mend)];
  if (to - now > Math.min(LEFT, (to - from) / 4)) return [];
  return [wrong(file, `ends in ${Math.floor((to - now) / DAY)} days, at ${validToDate.toISOString()}`, mend)];
}

/** Who issued one that was brought from elsewhere is between its owner and the clients. */
function issuer(file: string, { server, ca, isOurs }: Certificates): Finding[] {
  if (!isOurs || (ca !== undefined && server.verify(ca.publicKey))) return [];
  const what =
    ca === undefined ? 'is a local CA’s that is gone' : 'is not signed by certs/ca.crt, though a local CA’s';
  const mend = `move ${file} and its key away and start anew: clients that trust certs/ca.crt refuse this one`;
  return [wrong(file, what, mend)];
}
