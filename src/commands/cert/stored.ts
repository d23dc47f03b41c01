import type { X509Certificate } from 'node:crypto';
import type { AuthState, StoredCertificate } from '../../auth/state/auth-state.ts';
import { openAuthState } from '../../auth/state/sqlite-state.ts';
import { pathsIn } from '../../config/home.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import type { IssuedClientCertificate } from '../../pki/client-certificate.ts';
import { systemClock } from '../../platform/clock.ts';
import { tbsHash } from '../../platform/tbs-hash.ts';

export interface CertOptions {
  readonly home: string;
}

export async function withState<T>({ home }: CertOptions, act: (state: AuthState) => Promise<T>): Promise<T> {
  await using state = openAuthState(pathsIn(home).authState);
  return await act(state);
}

/** Records a certificate, because only a recorded certificate can be revoked. */
export async function recordIssued(
  { certificate }: IssuedClientCertificate,
  name: string,
  state: AuthState,
): Promise<void> {
  await state.putCertificate(toStored(certificate, name, systemClock()));
}

export function toStored(certificate: X509Certificate, name: string, issuedAt: number): StoredCertificate {
  return {
    fingerprint: fingerprintOf(certificate.fingerprint256),
    tbsHash: tbsHash(certificate),
    name,
    serial: certificate.serialNumber.toLowerCase(),
    issuedAt,
    expiresAt: certificate.validToDate.getTime(),
    revokedAt: null,
  };
}

/** Returns a fingerprint as the state stores it, from the form that OpenSSL prints. */
export function fingerprintOf(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

export function refuseCertificate({ stderr }: Terminal, why: string, code: ExitCode = 1): ExitCode {
  printLine(stderr, `hubgate: ${why}`);
  return code;
}
