/**
 * Records and revokes client certificates, as an administrator does. Only a recorded certificate is listed.
 */
import type { X509Certificate } from 'node:crypto';
import { tbsHash } from '../../platform/tbs-hash.ts';
import type { AuthState, StoredCertificate } from '../state/auth-state.ts';
import { openStateAt } from '../state/open-state.ts';
import type { TokenStore } from './tokens.ts';

/** The place of the database with the records of certificates. */
export type CertificateStore = TokenStore;

/** Returns the fingerprint, by which the certificate can be revoked. `issuedAt` is in milliseconds. */
export async function recordCertificate(
  store: CertificateStore,
  certificate: X509Certificate,
  name: string,
  issuedAt: number,
): Promise<string> {
  await using state = await openStateAt(store);
  const record = toStored(certificate, name, issuedAt);
  await state.putCertificate(record);
  return record.fingerprint;
}

export async function recordedCertificates(store: CertificateStore): Promise<readonly StoredCertificate[]> {
  await using state = await openStateAt(store);
  return await state.certificates();
}

export interface RevokedCertificate extends StoredCertificate {
  /** False if it was revoked before. */
  readonly isNew: boolean;
}

/**
 * Revokes all certificates of a name, or the one with a fingerprint. If none is recorded, it revokes the one
 * that `presented` returns, which may be from another authority. It returns nothing if there is none either.
 */
export async function revokeCertificates(
  store: CertificateStore,
  nameOrFingerprint: string,
  presented: () => Promise<X509Certificate | undefined>,
  now: number,
): Promise<readonly RevokedCertificate[]> {
  await using state = await openStateAt(store);
  const recorded = await state.certificates();
  const fingerprint = parseFingerprint(nameOrFingerprint);
  const named = recorded.filter((one) => one.name === nameOrFingerprint || one.fingerprint === fingerprint);
  const meant = named.length > 0 ? named : recordsOf(await presented(), recorded);
  const revoked: RevokedCertificate[] = [];
  for (const one of meant)
    revoked.push({ ...one, isNew: await revoke(one, state, recorded.includes(one), now) });
  return revoked;
}

/**
 * Returns the records of a certificate. If somebody has changed only the signature of an issued certificate,
 * these are the records of the issued one.
 */
function recordsOf(
  certificate: X509Certificate | undefined,
  recorded: readonly StoredCertificate[],
): readonly StoredCertificate[] {
  if (certificate === undefined) return [];
  const commonName = /^CN=(.*)$/m.exec(certificate.subject ?? '')?.[1];
  const read = toStored(certificate, commonName ?? 'without a name', certificate.validFromDate.getTime());
  const issued = recorded.filter((one) => one.tbsHash === read.tbsHash);
  return issued.length > 0 ? issued : [read];
}

async function revoke(
  certificate: StoredCertificate,
  state: AuthState,
  isRecorded: boolean,
  now: number,
): Promise<boolean> {
  if (isRecorded) return state.revokeCertificate(certificate.fingerprint, now);
  await state.putCertificate({ ...certificate, revokedAt: now });
  return true;
}

export function toStored(certificate: X509Certificate, name: string, issuedAt: number): StoredCertificate {
  return {
    fingerprint: parseFingerprint(certificate.fingerprint256),
    tbsHash: tbsHash(certificate),
    name,
    serial: certificate.serialNumber.toLowerCase(),
    issuedAt,
    expiresAt: certificate.validToDate.getTime(),
    revokedAt: null,
  };
}

/** Returns a fingerprint as the state stores it, from the form that OpenSSL prints. */
function parseFingerprint(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}
