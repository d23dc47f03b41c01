import { generateKeyPairSync } from 'node:crypto';
import { issueCertificate } from './certificate.ts';
import { CLOCK_SKEW } from './local-ca.ts';

/** A key and the certificate of it, both as PEM. */
export interface NodeCertificate {
  readonly key: string;
  readonly certificate: string;
}

/** The nodes trust the certificate itself, which is in their database, so it need not end. */
const VALID_FOR = 10 * 365 * 24 * 60 * 60 * 1000;

/**
 * Makes the key with which a node of a cluster proves to the others who it is. It lives as long as its
 * process.
 */
export function makeNodeCertificate(node: string, now: number): NodeCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = issueCertificate({
    commonName: node,
    publicKey,
    issuer: { commonName: node, publicKey, privateKey },
    notBefore: new Date(now - CLOCK_SKEW),
    notAfter: new Date(now + VALID_FOR),
    use: { kind: 'server', names: [node] },
  });
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate };
}
