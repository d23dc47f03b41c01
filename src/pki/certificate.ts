import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import forge from 'node-forge';

const { asn1, pki } = forge;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const { SEQUENCE, INTEGER, OID, BITSTRING, OCTETSTRING, UTCTIME, GENERALIZEDTIME } = asn1.Type;

/** The identifier of ecdsa-with-SHA256 has no parameters: RFC 5758 §3.2. */
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14';
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35';

export interface CertificateRequest {
  readonly commonName: string;
  readonly publicKey: KeyObject;
  readonly issuer: {
    readonly commonName: string;
    readonly publicKey: KeyObject;
    readonly privateKey: KeyObject;
  };
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly use:
    | { readonly kind: 'authority' }
    | { readonly kind: 'server'; readonly names: readonly string[] }
    | { readonly kind: 'client' };
}

/**
 * Issues an X.509 v3 certificate (RFC 5280) by an issuer with a P-256 key, as PEM. node-forge builds the
 * structure; node:crypto signs, because node-forge signs with RSA only.
 */
export function issueCertificate(request: CertificateRequest): string {
  const algorithm = sequence(primitive(OID, asn1.oidToDer(ECDSA_WITH_SHA256).getBytes()));
  const tbsCertificate = sequence(
    asn1.create(CONTEXT_SPECIFIC, 0, true, [primitive(INTEGER, '\x02')]),
    primitive(INTEGER, randomSerial()),
    algorithm,
    distinguishedName(request.issuer.commonName),
    sequence(time(request.notBefore), time(request.notAfter)),
    distinguishedName(request.commonName),
    asn1.fromDer(subjectPublicKeyInfo(request.publicKey)),
    extensions(request),
  );
  const signature = sign('sha256', Buffer.from(der(tbsCertificate), 'latin1'), request.issuer.privateKey);
  const certificate = sequence(
    tbsCertificate,
    algorithm,
    primitive(BITSTRING, `\0${signature.toString('latin1')}`),
  );
  return forge.pem.encode({ type: 'CERTIFICATE', body: der(certificate) }).replaceAll('\r\n', '\n');
}

function extensions({ publicKey, issuer, use }: CertificateRequest): forge.asn1.Asn1 {
  const draft = pki.createCertificate();
  draft.setExtensions([
    ...(use.kind === 'authority'
      ? [
          { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
          { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
        ]
      : [
          { name: 'basicConstraints', critical: true, cA: false },
          { name: 'keyUsage', critical: true, digitalSignature: true },
          ...(use.kind === 'server'
            ? [
                { name: 'extKeyUsage', serverAuth: true },
                { name: 'subjectAltName', altNames: use.names.map(alternativeName) },
              ]
            : [{ name: 'extKeyUsage', clientAuth: true }]),
        ]),
    { id: SUBJECT_KEY_IDENTIFIER, value: der(primitive(OCTETSTRING, keyIdentifier(publicKey))) },
    {
      id: AUTHORITY_KEY_IDENTIFIER,
      value: der(sequence(asn1.create(CONTEXT_SPECIFIC, 0, false, keyIdentifier(issuer.publicKey)))),
    },
  ]);
  return pki.certificateExtensionsToAsn1(draft.extensions);
}

/** Makes a GeneralName of RFC 5280 §4.2.1.6: 7 is an IP address, 2 a DNS name. */
function alternativeName(name: string): { type: number; ip?: string; value?: string } {
  return isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name };
}

function distinguishedName(commonName: string): forge.asn1.Asn1 {
  const draft = pki.createCertificate();
  draft.setSubject([{ name: 'commonName', value: commonName, valueTagClass: asn1.Type.UTF8 as never }]);
  return pki.distinguishedNameToAsn1(draft.subject);
}

/** Writes a time by RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime after. */
function time(date: Date): forge.asn1.Asn1 {
  return date.getUTCFullYear() < 2050
    ? primitive(UTCTIME, asn1.dateToUtcTime(date))
    : primitive(GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

/** Makes a serial number. A fixed bit before 127 random bits keeps the integer positive and of one length. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes.toString('latin1');
}

/**
 * Makes a key identifier: 160 bits of the key's SHA-256. RFC 5280 §4.2.1.2 demands a value that represents
 * the key, and leaves open which.
 */
function keyIdentifier(key: KeyObject): string {
  return createHash('sha256')
    .update(subjectPublicKeyInfo(key), 'latin1')
    .digest()
    .subarray(0, 20)
    .toString('latin1');
}

function subjectPublicKeyInfo(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('latin1');
}

function sequence(...members: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, SEQUENCE, true, members);
}

function primitive(type: forge.asn1.Type, bytes: string): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, type, false, bytes);
}

function der(structure: forge.asn1.Asn1): string {
  return asn1.toDer(structure).getBytes();
}
