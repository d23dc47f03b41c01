import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import { type CertificateFiles, CLOCK_SKEW, ensureCa, issue } from './local-ca.ts';

export interface IssueClientCertificateOptions {
  readonly ca: CertificateFiles;
  /** The common name of the certificate. */
  readonly name: string;
  readonly days: number;
  /** The public part of a key that is kept elsewhere; if it is absent, a key is made. */
  readonly publicKey?: KeyObject;
  readonly clock: Clock;
}

export interface IssuedClientCertificate {
  readonly certificate: X509Certificate;
  /** The key as PEM, if it was made here. */
  readonly key?: string;
  readonly ca: X509Certificate;
}

const DAY = 24 * 60 * 60 * 1000;

/** Issues a client certificate by the local CA. It ends with the CA's certificate at the latest. */
export async function issueClientCertificate({
  ca,
  name,
  days,
  publicKey,
  clock,
}: IssueClientCertificateOptions): Promise<IssuedClientCertificate> {
  const { certificate: authority, ...issuer } = await ensureCa(ca, clock);
  const made = publicKey === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : { publicKey };
  const end = Math.min(clock() + days * DAY, authority.validToDate.getTime());
  const certificate = await issue({
    commonName: name,
    publicKey: made.publicKey,
    issuer,
    notBefore: new Date(clock() - CLOCK_SKEW),
    notAfter: new Date(end),
    use: { kind: 'client' },
  });
  const key =
    'privateKey' in made ? String(made.privateKey.export({ type: 'pkcs8', format: 'pem' })) : undefined;
  return { certificate: new X509Certificate(certificate), ...(key !== undefined && { key }), ca: authority };
}
