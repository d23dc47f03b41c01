import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { inHome } from '../../../config/home.ts';
import { examineServerPair } from '../../../launch/server-certificate.ts';
import { LOCAL_CA_NAME } from '../../../pki/local-ca.ts';
import { readIfPresent } from '../../../platform/regular-file.ts';
import { type Check, type Finding, type Looked, unknown, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

const DAY = 24 * 60 * 60 * 1000;
/**
 * A certificate must be valid for longer than this, or than a quarter of a short life. ACME clients have
 * renewed it by then.
 */
const LEFT = 30 * DAY;
/** Names that a certificate made here contains. Nobody expects them in another certificate. */
const MACHINE_NAMES = new Set([hostname(), 'localhost', '127.0.0.1', '::1']);

interface Certificates {
  readonly server: X509Certificate;
  readonly ca: X509Certificate | undefined;
  /** True if the certificate was made here, so that a start makes another one. */
  readonly isOurs: boolean;
}

export function certificateChecks(context: ExaminedServer): readonly Check[] {
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

/** The check `pair` reports a certificate that cannot be read; the others skip it. */
async function readCertificates({
  paths,
  config,
}: ExaminedServer): Promise<Certificates | { skipped: string }> {
  const server = await readCertificate(config.tls.certificate).catch(() => undefined);
  if (server === undefined) return { skipped: 'there is no certificate that can be read' };
  const ca = await readCertificate(paths.ca.certificate);
  return {
    server,
    ca,
    isOurs: server.issuer.startsWith(`CN=${LOCAL_CA_NAME}`) || server.issuer === ca?.subject,
  };
}

/** Returns undefined if there is no such file. */
async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  const bytes = await readIfPresent(file);
  return bytes && new X509Certificate(bytes);
}

/**
 * Checks whether clients can connect with the server's certificate and key. `life` reports when the
 * certificate ends.
 */
export async function pair({ paths, config, clock }: ExaminedServer): Promise<Looked> {
  const problems = await examineServerPair(config, paths, clock);
  if (problems === undefined) return { skipped: 'there is none yet; the first start makes it' };
  const findings = problems
    .filter(({ isLife }) => isLife !== true)
    .map(({ file, what, mend, level }) => {
      const find = level === 'doubtful' ? unknown : wrong;
      return find(inHome(file, paths), what.replaceAll(`${paths.home}/`, ''), mend);
    });
  return { findings };
}

function names(
  file: string,
  { url, names }: ExaminedServer['config']['server'],
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
  { clock }: ExaminedServer,
): Finding[] {
  const anew = isOurs
    ? 'start the mirror anew: it issues another one'
    : 'put a renewed one there, and its key; no restart is needed for that';
  const findings = livesOn(file, server, clock(), anew);
  if (ca === undefined) return findings;
  const mend =
    clock() < ca.validFromDate.getTime()
      ? 'start the mirror anew: it issues it again, for the same key; then give it to every client'
      : `make another authority: move ${caFile} and its key away, start anew, and give the new one to every client`;
  return [...findings, ...livesOn(caFile, ca, clock(), mend)];
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

/**
 * Checks the issuer of a certificate that was made here. The issuer of any other is a matter between its
 * owner and the clients.
 */
function issuer(file: string, { server, ca, isOurs }: Certificates): Finding[] {
  if (!isOurs || (ca !== undefined && server.verify(ca.publicKey))) return [];
  const what =
    ca === undefined ? 'is a local CA’s that is gone' : 'is not signed by certs/ca.crt, though a local CA’s';
  const mend = `move ${file} and its key away and start anew: clients that trust certs/ca.crt refuse this one`;
  return [wrong(file, what, mend)];
}
