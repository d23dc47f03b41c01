/**
 * The local certificate authority: it makes the server's certificate where nobody brought one. It answers "is there a
 * certificate that fits?", depends on the file system and node-forge, and must not know who connects.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { writeFileAtomically } from '../platform/atomic-file.ts';
import type { Clock } from '../platform/clock.ts';
import type { CertificateRequest } from './certificate.ts';

/** The setgid bit of inode(7). */
const SETGID = 0o2000;

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface ServerCertificateOptions {
  readonly ca: CertificateFiles;
  readonly server: CertificateFiles;
  /** Host names and IP addresses under which clients reach the server. */
  readonly names: readonly string[];
  readonly clock: Clock;
}

const DAY = 24 * 60 * 60 * 1000;
const CA_DAYS = 3650;
/** Apple's platforms refuse server certificates that live longer than 825 days; public authorities stop at 398. */
const SERVER_DAYS = 397;
const RENEW_BEFORE_DAYS = 30;
/** By this a certificate is older than it is, for clocks that are behind. */
export const CLOCK_SKEW = 60 * 60 * 1000;

/**
 * Sees to it that the server has a certificate. One that the local CA did not issue is somebody's own, and is left
 * alone whatever it says; one of the CA's is issued anew when names are missing or it ends within 30 days.
 *
 * @returns the CA's certificate as PEM where it issued the server's, else undefined.
 */
export async function ensureServerCertificate(
  options: ServerCertificateOptions,
): Promise<string | undefined> {
  const present = await readCertificate(options.server.certificate);
  const isOurs = (await localCaOf(options)) !== undefined;
  if (present === undefined || (isOurs && !fits(present, options))) await issueServerCertificate(options);
  return localCaOf(options);
}

/** The local CA's certificate as PEM, where it is the issuer of the server's. */
export async function localCaOf({
  ca,
  server,
}: Pick<ServerCertificateOptions, 'ca' | 'server'>): Promise<string | undefined> {
  const issued = await readCertificate(server.certificate);
  const authority = await readCertificate(ca.certificate);
  return authority !== undefined && issued?.verify(authority.publicKey) ? authority.toString() : undefined;
}

function fits(certificate: X509Certificate, { names, clock }: ServerCertificateOptions): boolean {
  const covers = (name: string) =>
    isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
  return names.every(covers) && certificate.validToDate.getTime() - clock() > RENEW_BEFORE_DAYS * DAY;
}

async function issueServerCertificate({ ca, server, names, clock }: ServerCertificateOptions): Promise<void> {
  const issuer = await ensureCa(ca, clock);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = await issue({
    // For people to read; clients look at the alternative names. RFC 5280 bounds it to 64 characters.
    commonName: (names[0] ?? 'localhost').slice(0, 64),
    publicKey,
    issuer,
    notBefore: new Date(clock() - CLOCK_SKEW),
    notAfter: new Date(clock() + SERVER_DAYS * DAY),
    use: { kind: 'server', names },
  });
  await mkdir(path.dirname(server.key), { recursive: true });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  await writePair(server, certificate, key, await modeOfServerKey(server));
}

/**
 * Who gives a directory the setgid bit has chosen the group of what is in it: the gateway's, so that it reads the key of its
 * certificate and can write nothing there.
 */
export async function modeOfServerKey({ key }: Pick<CertificateFiles, 'key'>): Promise<number> {
  const { mode } = await stat(path.dirname(key));
  return (mode & SETGID) === 0 ? 0o600 : 0o640;
}

/** The local CA, made where there is none. */
export async function ensureCa(files: CertificateFiles, clock: Clock) {
  if ((await readCertificate(files.certificate)) === undefined) await createCa(files, clock);
  const certificate = new X509Certificate(await readFile(files.certificate));
  const privateKey = createPrivateKey(await readFile(files.key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(`${files.key} is not the key of ${files.certificate}`);
  }
  const commonName = certificate.subject.replace(/^CN=/, '');
  return { certificate, commonName, publicKey: createPublicKey(privateKey), privateKey };
}

async function createCa(files: CertificateFiles, clock: Clock): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const commonName = `Hubgate local CA ${new Date(clock()).toISOString().slice(0, 10)}`;
  const certificate = await issue({
    commonName,
    publicKey,
    issuer: { commonName, publicKey, privateKey },
    notBefore: new Date(clock() - CLOCK_SKEW),
    notAfter: new Date(clock() + CA_DAYS * DAY),
    use: { kind: 'authority' },
  });
  await writePair(files, certificate, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
}

/** What builds certificates is loaded when one is built: a process that merely looks at them is spared its memory. */
export async function issue(request: CertificateRequest): Promise<string> {
  const { issueCertificate } = await import('./certificate.ts');
  return issueCertificate(request);
}

/** The key first: a certificate on disk always has its key beside it. */
async function writePair(
  files: CertificateFiles,
  certificate: string,
  key: string,
  keyMode: number,
): Promise<void> {
  await mkdir(path.dirname(files.key), { recursive: true });
  await mkdir(path.dirname(files.certificate), { recursive: true });
  await writeFileAtomically(files.key, key, keyMode);
  await writeFileAtomically(files.certificate, certificate, 0o644);
}

async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  try {
    return new X509Certificate(await readFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} cannot be read as a certificate: ${(error as Error).message}`, { cause: error });
  }
}
