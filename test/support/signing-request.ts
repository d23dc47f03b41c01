import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import forge from 'node-forge';

const { asn1 } = forge;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;

const ALGORITHMS: Readonly<Record<string, readonly [oid: string, digest: string | null]>> = {
  ec: ['1.2.840.10045.4.3.2', 'sha256'],
  rsa: ['1.2.840.113549.1.1.12', 'sha384'],
  ed25519: ['1.3.101.112', null],
};

/**
 * Makes a PKCS #10 request for a key, as PEM. `signer` signs it instead of the key, with the named algorithm.
 */
export function signingRequest(
  key: KeyObject,
  {
    signer = key,
    algorithm,
  }: { signer?: KeyObject; algorithm?: readonly [oid: string, digest: string] } = {},
): string {
  const [oid, digest] = algorithm ?? ALGORITHMS[signer.asymmetricKeyType ?? ''] ?? ['1.2.3', 'sha256'];
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('latin1');
  const info = sequence(
    asn1.create(UNIVERSAL, asn1.Type.INTEGER, false, '\0'),
    forge.pki.distinguishedNameToAsn1(nameOf('root')),
    asn1.fromDer(spki),
    asn1.create(CONTEXT_SPECIFIC, 0, true, []),
  );
  const der = asn1.toDer(info).getBytes();
  const signature = sign(digest, Buffer.from(der, 'latin1'), signer).toString('latin1');
  const request = sequence(
    info,
    sequence(asn1.create(UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(oid).getBytes())),
    asn1.create(UNIVERSAL, asn1.Type.BITSTRING, false, `\0${signature}`),
  );
  return forge.pem.encode({ type: 'CERTIFICATE REQUEST', body: asn1.toDer(request).getBytes() });
}

function nameOf(commonName: string) {
  const draft = forge.pki.createCertificate();
  draft.setSubject([{ name: 'commonName', value: commonName }]);
  return draft.subject;
}

function sequence(...members: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, members);
}
