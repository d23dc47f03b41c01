import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import forge from 'node-forge';

const { pki } = forge;

export interface TestPair {
  readonly cert: string;
  readonly key: string;
}

/** The content of a certificate. By default it is that of a client, and valid today. */
export interface TestLeaf {
  readonly commonName: string;
  /** A second common name. */
  readonly otherName?: string;
  /** GeneralNames: 6 is a URI, 2 a DNS name. */
  readonly altNames?: readonly { type: number; value: string }[];
  readonly usage?: object | null;
  readonly cA?: boolean;
  readonly from?: Date;
  readonly to?: Date;
}

export interface TestAuthority extends TestPair {
  issue(leaf: TestLeaf): TestPair;
}

const DAY = 24 * 60 * 60 * 1000;
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const LEAF_KEY = privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;

/** Makes another authority than the local one, with RSA, as most have, which issues whatever is wanted. */
export function makeAuthority(
  commonName: string,
  { to = new Date(Date.now() + DAY), key = rsaKey() }: { to?: Date; key?: string } = {},
): TestAuthority {
  const issue = (leaf: TestLeaf, subjectKey: string): TestPair => {
    const certificate = pki.createCertificate();
    certificate.publicKey = publicKeyOf(subjectKey);
    certificate.serialNumber = `40${randomBytes(8).toString('hex')}`;
    certificate.validity.notBefore = leaf.from ?? new Date(Date.now() - DAY);
    certificate.validity.notAfter = leaf.to ?? new Date(Date.now() + DAY);
    const commonNames = [leaf.commonName, ...(leaf.otherName === undefined ? [] : [leaf.otherName])];
    certificate.setSubject(commonNames.map((value) => ({ name: 'commonName', value })));
    certificate.setIssuer([{ name: 'commonName', value: commonName }]);
    certificate.setExtensions([
      { name: 'basicConstraints', critical: true, cA: leaf.cA ?? false },
      ...(leaf.usage === null ? [] : [{ name: 'extKeyUsage', ...(leaf.usage ?? { clientAuth: true }) }]),
      ...(leaf.altNames ? [{ name: 'subjectAltName', altNames: leaf.altNames }] : []),
    ]);
    certificate.sign(pki.privateKeyFromPem(key), forge.md.sha256.create());
    return { cert: pki.certificateToPem(certificate), key: subjectKey };
  };
  const { cert } = issue({ commonName, usage: null, cA: true, to }, key);
  return { cert, key, issue: (leaf) => issue(leaf, LEAF_KEY) };
}

export function rsaKey(): string {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return pair.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;
}

function publicKeyOf(key: string) {
  const { n, e } = pki.privateKeyFromPem(key);
  return pki.setRsaPublicKey(n, e);
}

/** The order of the curve P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * Returns the same certificate with the other signature (r, n - s), which needs no key to make and is equally
 * valid.
 */
export function twinOf(pem: string): string {
  const { asn1 } = forge;
  const certificate = parse(new X509Certificate(pem).raw.toString('latin1'));
  const [, , signature] = membersOf(certificate);
  // The first byte is the number of unused bits in the last one, which is 0.
  const pair = parse(String(signature?.value).slice(1));
  const [, s] = membersOf(pair);
  if (s === undefined || signature === undefined) throw new Error('no ECDSA signature');
  s.value = integer(ORDER - BigInt(`0x${Buffer.from(s.value as string, 'latin1').toString('hex')}`));
  signature.value = `\0${asn1.toDer(pair).getBytes()}`;
  return new X509Certificate(Buffer.from(asn1.toDer(certificate).getBytes(), 'latin1')).toString();
}

function parse(der: string): forge.asn1.Asn1 {
  return forge.asn1.fromDer(forge.util.createBuffer(der), { decodeBitStrings: false } as never);
}

function membersOf({ value }: forge.asn1.Asn1): forge.asn1.Asn1[] {
  return value as forge.asn1.Asn1[];
}

/** Encodes a positive integer in as few bytes as DER requires. */
function integer(value: bigint): string {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('latin1');
  return bytes.charCodeAt(0) >= 0x80 ? `\0${bytes}` : bytes;
}
