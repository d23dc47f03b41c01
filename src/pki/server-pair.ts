/**
 * Examines whether clients can connect with the server's certificate and key as they are. It does so before a
 * start, at which OpenSSL would only report a number. It must not know which client connects.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { Clock } from '../platform/clock.ts';
import { propertyOf } from '../platform/object-properties.ts';
import { messageOf, reasonOf } from '../platform/reason.ts';
import { readIfPresent, readRegularFile } from '../platform/regular-file.ts';
import { type CertificateFiles, LOCAL_CA_NAME } from './local-ca.ts';

export interface PairProblem {
  readonly file: string;
  /** The message, which continues a sentence that begins with the file's name. */
  readonly what: string;
  /** The advice on how to correct it. */
  readonly mend: string;
  /**
   * `unusable`: no server can start with the pair. `refused`: clients refuse it. `doubtful`: some clients may
   * refuse it.
   */
  readonly level: 'unusable' | 'refused' | 'doubtful';
  /** True if the problem is that the server's own certificate has ended or is not valid yet. */
  readonly isLife?: boolean;
}

export interface PairOptions {
  readonly server: CertificateFiles;
  /** The local CA's certificate, which may be absent. */
  readonly ca: string;
  readonly clock: Clock;
}

/** The RSA key sizes in bits, and the curves, that Node's TLS accepts. */
const LEAST_RSA = 2048;
const TYPE = /-----BEGIN ([A-Z0-9 ]+)-----/g;
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const WHOLE = 'put the whole file there, as it was made';
const ESCAPED_LINES = 'its line ends are written as \\n: make them line ends';
/** The first byte of every certificate and key in DER: a SEQUENCE. */
const DER = 0x30;

/** Returns what is wrong with a pair whose files both exist; empty if clients can connect with it. */
export async function examinePair(options: PairOptions): Promise<readonly PairProblem[]> {
  const { server } = options;
  const chain = await readChain(server.certificate);
  const key = await readPrivateKey(server.key);
  const unusable = [chain, key].filter((one): one is PairProblem => 'what' in one);
  if ('what' in chain || 'what' in key) return unusable;
  const problems = [...mismatch(chain, key, server), ...weakKeys(chain, server.certificate)];
  if (problems.length > 0) return problems;
  const refusedByTls = tryContext(chain, key, server);
  if (refusedByTls !== undefined) return [refusedByTls];
  return [...validity(chain, options), ...names(chain, server), ...(await issuers(chain, options))];
}

type Chain = readonly [X509Certificate, ...X509Certificate[]];

async function readChain(file: string): Promise<Chain | PairProblem> {
  const bytes = await readBytes(file);
  if ('what' in bytes) return bytes;
  const text = bytes.toString('latin1');
  const types = typesIn(text);
  if (bytes[0] === DER)
    return unusable(file, 'is DER and not PEM', `type: openssl x509 -inform der -in '${file}' -out FILE`);
  if (types.includes('PKCS7') || types.includes('CMS'))
    return unusable(file, 'is PKCS #7', `type: openssl pkcs7 -print_certs -in '${file}' -out FILE`);
  if (types.length > 0 && types.every((type) => type.endsWith('PRIVATE KEY')))
    return unusable(file, 'holds a private key and no certificate', 'exchange tls.certificate and tls.key');
  if (hasEscapedLines(text)) return unusable(file, 'holds no certificate in PEM', ESCAPED_LINES);
  const chain: X509Certificate[] = [];
  for (const [index, block] of (text.match(CERTIFICATE) ?? []).entries()) {
    try {
      chain.push(new X509Certificate(block));
    } catch {
      return unusable(file, `is damaged: certificate ${index + 1} in it cannot be read`, WHOLE);
    }
  }
  const [leaf, ...rest] = chain;
  if (leaf === undefined) return unusable(file, 'holds no certificate in PEM', WHOLE);
  return [leaf, ...rest];
}

async function readPrivateKey(file: string): Promise<KeyObject | PairProblem> {
  const bytes = await readBytes(file);
  if ('what' in bytes) return bytes;
  const text = bytes.toString('latin1');
  const types = typesIn(text);
  if (types.includes('ENCRYPTED PRIVATE KEY') || /^Proc-Type: 4,ENCRYPTED/m.test(text))
    return unusable(
      file,
      'is encrypted, and nobody can be asked for the pass phrase',
      `type: openssl pkey -in '${file}' -out FILE, and keep that file to its owner (chmod 0600)`,
    );
  if (bytes[0] === DER)
    return unusable(file, 'is DER and not PEM', `type: openssl pkey -in '${file}' -out FILE`);
  if (hasEscapedLines(text)) return unusable(file, 'holds no private key in PEM', ESCAPED_LINES);
  if (!types.some((type) => type.endsWith('PRIVATE KEY')))
    return unusable(file, 'holds no private key in PEM', WHOLE);
  try {
    return createPrivateKey(bytes);
  } catch {
    return unusable(file, 'holds a private key that cannot be read', WHOLE);
  }
}

async function readBytes(file: string): Promise<Buffer | PairProblem> {
  try {
    return await readRegularFile(file);
  } catch (error) {
    const mend = 'let the user read it that runs the gateway, or correct the path';
    return unusable(file, `cannot be read: ${reasonOf(error)}`, mend);
  }
}

function typesIn(text: string): string[] {
  return [...text.matchAll(TYPE)].map(([, type]) => type ?? '');
}

/**
 * True if each line end became two characters, which happens to files that were made from an environment
 * variable.
 */
function hasEscapedLines(text: string): boolean {
  return /-----\r?(?:\\r)?\\n/.test(text);
}

function mismatch(chain: Chain, key: KeyObject, files: CertificateFiles): PairProblem[] {
  const [leaf, ...rest] = chain;
  if (leaf.checkPrivateKey(key)) return [];
  const own = rest.findIndex((one) => one.checkPrivateKey(key));
  if (own < 0)
    return [
      unusable(
        files.key,
        `is not the key of ${files.certificate}`,
        'put the key there with which that certificate was requested',
      ),
    ];
  const mend = 'put it first, and after it the certificate of the authority that issued it';
  return [unusable(files.certificate, `has the server’s certificate in place ${own + 2}`, mend)];
}

function weakKeys(chain: Chain, file: string): PairProblem[] {
  return chain.flatMap(({ publicKey, subject }, index) => {
    const bits = publicKey.asymmetricKeyDetails?.modulusLength;
    if (bits === undefined || bits >= LEAST_RSA) return [];
    const whose = index === 0 ? 'has a key' : `holds a certificate (${oneLine(subject)}) with a key`;
    const what = `${whose} of ${bits} bits, and TLS needs ${LEAST_RSA}`;
    return [unusable(file, what, 'have one issued for a larger key')];
  });
}

/** Tries the pair with OpenSSL, which finds further problems, such as a signature with SHA-1. */
function tryContext(
  chain: Chain,
  key: KeyObject,
  { certificate }: CertificateFiles,
): PairProblem | undefined {
  try {
    createSecureContext({
      cert: chain.map(String).join('\n'),
      key: key.export({ type: 'pkcs8', format: 'pem' }),
    });
    return undefined;
  } catch (error) {
    const reason = propertyOf(error, 'reason') ?? messageOf(error);
    return unusable(
      certificate,
      `cannot be used for TLS (${reason})`,
      'have another one issued: ECDSA P-256 or RSA 2048, signed with SHA-256',
    );
  }
}

function validity(chain: Chain, { server, clock }: PairOptions): PairProblem[] {
  return chain.flatMap(({ subject, validFromDate, validToDate }, index): PairProblem[] => {
    const what = index === 0 ? '' : `holds a certificate (${oneLine(subject)}) that `;
    const mend = index === 0 ? 'put a renewed one there' : 'put the present one of its authority there';
    const refused = (why: string): PairProblem => ({
      file: server.certificate,
      what: `${what}${why}`,
      mend,
      level: 'refused',
      isLife: index === 0,
    });
    if (clock() > validToDate.getTime()) return [refused(`has ended at ${validToDate.toISOString()}`)];
    if (clock() < validFromDate.getTime())
      return [refused(`is not good before ${validFromDate.toISOString()}`)];
    return [];
  });
}

function names([leaf]: Chain, { certificate }: CertificateFiles): PairProblem[] {
  if (leaf.subjectAltName !== undefined) return [];
  const what = 'has no subject alternative name, and clients do not look at its common name';
  const mend = 'have one issued with a subjectAltName for each name of the mirror';
  return [{ file: certificate, what, mend, level: 'refused' }];
}

/** Checks whether the chain leads to an authority that clients can know. */
async function issuers(chain: Chain, { server, ca }: PairOptions): Promise<PairProblem[]> {
  const last = lastOf(chain);
  // Whether clients have this local CA's certificate is not checked here.
  if (last.issuer.startsWith(`CN=${LOCAL_CA_NAME}`)) return [];
  const local = await readIfPresent(ca).catch(() => undefined);
  if (last.issuer === last.subject || isIssuedBy(last, local) || isKnownRoot(last.issuer)) return [];
  const which = last === chain[0] ? 'holds the server’s certificate alone' : 'ends before a root';
  const what = `${which}: ${oneLine(last.issuer)} issued it`;
  const mend =
    'if that is an intermediate authority, append its certificate to the file, because clients refuse it otherwise; if it is a root that clients trust, nothing is wrong';
  return [{ file: server.certificate, what, mend, level: 'doubtful' }];
}

/**
 * Follows the certificates of the file from the server's own one, and returns the last one that it reaches.
 */
function lastOf([leaf, ...rest]: Chain): X509Certificate {
  let last = leaf;
  const left = new Set(rest);
  for (;;) {
    const next = [...left].find((one) => last.issuer !== last.subject && last.checkIssued(one));
    if (next === undefined) return last;
    left.delete(next);
    last = next;
  }
}

function isIssuedBy(certificate: X509Certificate, pem: Buffer | undefined): boolean {
  try {
    return pem !== undefined && certificate.checkIssued(new X509Certificate(pem));
  } catch {
    return false;
  }
}

/** True for an authority of Mozilla's list, as Node ships it. */
function isKnownRoot(issuer: string): boolean {
  return rootCertificates.some((pem) => new X509Certificate(pem).subject === issuer);
}

function unusable(file: string, what: string, mend: string): PairProblem {
  return { file, what, mend, level: 'unusable' };
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
