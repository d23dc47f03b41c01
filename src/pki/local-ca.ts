/**
 * The local certificate authority makes the server's certificate if nobody has provided one. It answers
 * whether there is a certificate that fits, depends on the file system and node-forge, and must not know who
 * connects.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { createFiles, writeFileAtomically } from '../platform/atomic-file.ts';
import type { Clock } from '../platform/clock.ts';
import { type Fault, FaultsError } from '../platform/fault.ts';
import { reasonOf } from '../platform/reason.ts';
import { readIfPresent, readRegularFile } from '../platform/regular-file.ts';
import { ABSENT, stateOfFile } from '../platform/watched-files.ts';
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
  /** The host names and IP addresses by which clients reach the server. */
  readonly names: readonly string[];
  readonly clock: Clock;
  /**
   * True if the operator chose the paths of the server's certificate and key. A missing file is then a
   * mistake.
   */
  readonly isConfigured?: boolean;
}

const DAY = 24 * 60 * 60 * 1000;
const CA_DAYS = 3650;
/**
 * The lifetime in days. Apple's platforms refuse server certificates that live longer than 825 days; public
 * authorities stop at 398.
 */
const SERVER_DAYS = 397;
const RENEW_BEFORE_DAYS = 30;
/** The milliseconds by which certificates are dated back, for clients whose clocks are slow. */
export const CLOCK_SKEW = 60 * 60 * 1000;

/** The name that `createCa` gives to its authorities. */
export const LOCAL_CA_NAME = 'Hubgate local CA ';

/**
 * Ensures that the server has a certificate. A certificate that the local CA did not issue belongs to
 * somebody else and is never changed. One of the CA's is issued again, for the same key, if names are
 * missing, if it ends within 30 days, or if it is not valid yet.
 *
 * @returns the CA's certificate as PEM if it issued the server's, else undefined
 * @throws if a part of the pair is missing and the pair may not be made
 */
export async function ensureServerCertificate(
  options: ServerCertificateOptions,
): Promise<string | undefined> {
  const { server, clock } = options;
  const why = await whyIncomplete(server, options.isConfigured);
  if (why !== undefined) throw new FaultsError([why]);
  const present = await readCertificate(server.certificate);
  if (present === undefined) await createServerPair(options);
  const authority = await localCaOf(options);
  if (authority === undefined || present === undefined) return authority;
  const isAuthorityGood = new X509Certificate(authority).validFromDate.getTime() <= clock();
  if (isAuthorityGood && fits(present, options)) return authority;
  await renewServerCertificate(options);
  return localCaOf(options);
}

/**
 * Returns why an incomplete pair is not made here; undefined if it is complete, or may be made. A key or a
 * certificate that somebody has put there is never overwritten.
 */
export async function whyIncomplete(
  { certificate, key }: CertificateFiles,
  isConfigured = false,
): Promise<Fault | undefined> {
  const isThere = async (file: string) => (await stateOfFile(file)) !== ABSENT;
  const [hasCertificate, hasKey] = [await isThere(certificate), await isThere(key)];
  if (hasCertificate && hasKey) return undefined;
  const [missing, other] = hasKey ? [certificate, key] : hasCertificate ? [key, certificate] : [];
  if (missing !== undefined && other !== undefined) {
    const mend = isConfigured
      ? 'put it there, or correct tls.certificate and tls.key'
      : `put it there, or move ${other} away: then a start makes both`;
    return { source: missing, message: `does not exist, and ${other} does; ${mend}` };
  }
  if (!isConfigured) return undefined;
  const mend =
    'correct tls.certificate and tls.key, put the files there, or remove both settings: then a start makes a pair in certs/';
  return { source: certificate, message: `does not exist, and neither does ${key}; ${mend}` };
}

/** Returns the local CA's certificate as PEM if it is the issuer of the server's. */
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
  const left = certificate.validToDate.getTime() - clock();
  const isGood = certificate.validFromDate.getTime() <= clock() && left > RENEW_BEFORE_DAYS * DAY;
  return isGood && names.every(covers);
}

async function createServerPair(options: ServerCertificateOptions): Promise<void> {
  const { server } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = await issueServerCertificate(publicKey, options);
  await mkdir(path.dirname(server.key), { recursive: true });
  await createPair(server, certificate, privateKey, await modeOfServerKey(server));
}

/** Issues a certificate for the existing key, which is never replaced. */
async function renewServerCertificate(options: ServerCertificateOptions): Promise<void> {
  const { server } = options;
  const publicKey = createPublicKey(await readKey(server));
  await writeFileAtomically(server.certificate, await issueServerCertificate(publicKey, options), 0o644);
}

async function issueServerCertificate(
  publicKey: KeyObject,
  { ca, names, clock }: ServerCertificateOptions,
): Promise<string> {
  const issuer = await ensureCa(ca, clock);
  return issue({
    // The common name is for people; clients check the alternative names. RFC 5280 limits it to 64
    // characters.
    commonName: (names[0] ?? 'localhost').slice(0, 64),
    publicKey,
    issuer,
    notBefore: new Date(clock() - CLOCK_SKEW),
    notAfter: new Date(clock() + SERVER_DAYS * DAY),
    use: { kind: 'server', names },
  });
}

/**
 * Returns the mode of the server's key. Whoever sets the setgid bit of a directory chooses the group of its
 * files: here the gateway's, so that the gateway can read the key of its certificate and write nothing there.
 */
async function modeOfServerKey({ key }: Pick<CertificateFiles, 'key'>): Promise<number> {
  const { mode } = await stat(path.dirname(key));
  return (mode & SETGID) === 0 ? 0o600 : 0o640;
}

/** Returns the local CA, and makes it if there is none. */
export async function ensureCa(files: CertificateFiles, clock: Clock) {
  const why = await whyIncomplete(files);
  if (why !== undefined) throw new FaultsError([why]);
  if ((await readCertificate(files.certificate)) === undefined) await createCa(files, clock);
  const privateKey = await readKey(files);
  const found = new X509Certificate(await readRegularFile(files.certificate));
  const certificate = isEarly(found, clock) ? await renewCa(files, found, privateKey, clock) : found;
  const commonName = commonNameOf(certificate);
  return { certificate, commonName, publicKey: createPublicKey(privateKey), privateKey };
}

/** True if the certificate was made here by a clock that was ahead, so that it is not valid yet. */
function isEarly(certificate: X509Certificate, clock: Clock): boolean {
  return certificate.validFromDate.getTime() > clock() && commonNameOf(certificate).startsWith(LOCAL_CA_NAME);
}

function commonNameOf({ subject }: X509Certificate): string {
  return subject.replace(/^CN=/, '');
}

async function createCa(files: CertificateFiles, clock: Clock): Promise<void> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const commonName = `${LOCAL_CA_NAME}${new Date(clock()).toISOString().slice(0, 10)}`;
  const certificate = await issueCa(commonName, privateKey, clock(), clock() + CA_DAYS * DAY);
  await createPair(files, certificate, privateKey, 0o600);
}

/**
 * Issues the CA's certificate again with the same name and key, so that the certificates that it issued stay
 * valid. It ends no earlier than before, because this clock may be wrong.
 */
async function renewCa(
  files: CertificateFiles,
  before: X509Certificate,
  privateKey: KeyObject,
  clock: Clock,
): Promise<X509Certificate> {
  const end = Math.max(before.validToDate.getTime(), clock() + CA_DAYS * DAY);
  const certificate = await issueCa(commonNameOf(before), privateKey, clock(), end);
  await writeFileAtomically(files.certificate, certificate, 0o644);
  return new X509Certificate(certificate);
}

function issueCa(commonName: string, privateKey: KeyObject, now: number, end: number): Promise<string> {
  const publicKey = createPublicKey(privateKey);
  return issue({
    commonName,
    publicKey,
    issuer: { commonName, publicKey, privateKey },
    notBefore: new Date(now - CLOCK_SKEW),
    notAfter: new Date(end),
    use: { kind: 'authority' },
  });
}

/**
 * Issues a certificate. The code that builds certificates is loaded only here, so that a process that merely
 * looks at them does not need its memory.
 */
export async function issue(request: CertificateRequest): Promise<string> {
  const { issueCertificate } = await import('./certificate.ts');
  return issueCertificate(request);
}

/** Writes the key first, so that a certificate on disk always has its key beside it. */
async function createPair(
  { certificate, key }: CertificateFiles,
  issued: string,
  privateKey: KeyObject,
  keyMode: number,
): Promise<void> {
  await mkdir(path.dirname(key), { recursive: true });
  await mkdir(path.dirname(certificate), { recursive: true });
  await createFiles([
    { file: key, bytes: privateKey.export({ type: 'pkcs8', format: 'pem' }), mode: keyMode },
    { file: certificate, bytes: issued, mode: 0o644 },
  ]);
}

/** @throws if the key does not belong to the certificate */
async function readKey({ certificate, key }: CertificateFiles): Promise<KeyObject> {
  const privateKey = createPrivateKey(await readRegularFile(key));
  const issued = new X509Certificate(await readRegularFile(certificate));
  if (!issued.checkPrivateKey(privateKey)) throw new Error(`${key} is not the key of ${certificate}`);
  return privateKey;
}

async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  try {
    const bytes = await readIfPresent(file);
    return bytes && new X509Certificate(bytes);
  } catch (error) {
    throw new Error(`${file} cannot be read as a certificate: ${reasonOf(error)}`, { cause: error });
  }
}
