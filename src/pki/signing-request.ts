import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import forge from 'node-forge';

const { asn1 } = forge;

export type SigningRequest = { readonly publicKey: KeyObject } | { readonly refusal: string };

/**
 * The digest of each signature algorithm; null if the algorithm includes one. RFC 5758, RFC 8017, RFC 8410.
 */
const DIGESTS: Readonly<Record<string, string | null>> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.3.101.112': null,
};

/** The limit in characters. A request for the largest keys in use is shorter than 4 KiB. */
const MAX_REQUEST = 64 * 1024;
const NO_REQUEST = { refusal: 'it is no certificate request (PKCS #10, as PEM)' };
const KEYS = 'P-256, P-384, Ed25519, and RSA of 2048 bits or more';

/**
 * Returns the public key of a certificate request (RFC 2986), if the signature proves that the requester has
 * the private key. The names and extensions in the request are ignored.
 */
export function parseSigningRequest(pem: string): SigningRequest {
  const parts = pem.length > MAX_REQUEST ? undefined : parse(pem);
  if (parts === undefined) return NO_REQUEST;
  const { info, algorithm, signature, publicKey } = parts;
  if (!isStrong(publicKey)) return { refusal: `its key is none of ${KEYS}` };
  const digest = DIGESTS[algorithm];
  if (digest === undefined) return { refusal: 'it is signed in a way that is not known here, or weak' };
  return isSigned(digest, info, publicKey, signature)
    ? { publicKey }
    : { refusal: 'its signature is not that of its key' };
}

interface RequestParts {
  /** The signed part of the request, as DER. */
  readonly info: Buffer;
  /** The algorithm as an object identifier. */
  readonly algorithm: string;
  readonly signature: Buffer;
  readonly publicKey: KeyObject;
}

function parse(pem: string): RequestParts | undefined {
  try {
    const options = { decodeBitStrings: false };
    const request = asn1.fromDer(forge.util.createBuffer(bodyOf(pem).toString('latin1')), options);
    const [info, algorithm, signature] = membersOf(request);
    const [, , key] = membersOf(info);
    const [identifier] = membersOf(algorithm);
    return {
      info: derOf(info),
      algorithm: asn1.derToOid(textOf(identifier)),
      // The first byte is the number of unused bits in the last one, which is 0.
      signature: Buffer.from(textOf(signature), 'latin1').subarray(1),
      publicKey: createPublicKey({ key: derOf(key), format: 'der', type: 'spki' }),
    };
  } catch {
    return undefined;
  }
}

/**
 * Returns the first block of a request; empty if there is none. forge’s own PEM reader backtracks over long
 * runs of spaces.
 */
function bodyOf(pem: string): Buffer {
  for (const label of ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']) {
    const [, rest] = pem.split(`-----BEGIN ${label}-----`, 2);
    const end = rest?.indexOf(`-----END ${label}-----`) ?? -1;
    if (rest !== undefined && end >= 0) return Buffer.from(rest.slice(0, end), 'base64');
  }
  return Buffer.alloc(0);
}

type Node = forge.asn1.Asn1 | undefined;

function membersOf(node: Node): forge.asn1.Asn1[] {
  if (!Array.isArray(node?.value)) throw new Error('no sequence');
  return node.value;
}

function textOf(node: Node): string {
  if (typeof node?.value !== 'string') throw new Error('no primitive');
  return node.value;
}

function derOf(node: Node): Buffer {
  if (node === undefined) throw new Error('too short');
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1');
}

function isStrong({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean {
  if (type === 'ed25519') return true;
  if (type === 'rsa') return (details?.modulusLength ?? 0) >= 2048;
  return type === 'ec' && ['prime256v1', 'secp384r1'].includes(details?.namedCurve ?? '');
}

/**
 * Verifies the signature. If the algorithm does not fit the key, OpenSSL throws; that counts as a wrong
 * signature.
 */
function isSigned(digest: string | null, info: Buffer, publicKey: KeyObject, signature: Buffer): boolean {
  try {
    return verify(digest, info, publicKey, signature);
  } catch {
    return false;
  }
}
