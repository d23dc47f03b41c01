import { X509Certificate } from 'node:crypto';
import type { AuthState, StoredCertificate } from '../../auth/state/auth-state.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import { readRegularFile } from '../../platform/regular-file.ts';
import { confirmWithdrawal, type Withdrawal } from '../confirmation.ts';
import { type CertOptions, fingerprintOf, refuseCertificate, toStored, withState } from './stored.ts';

/**
 * Revokes all certificates of a name, the one with a fingerprint, or the one in a file. The one in a file may
 * be from another authority.
 */
export async function revokeCert(which: string, options: CertOptions, terminal: Terminal): Promise<ExitCode> {
  return withState(options, async (state) => {
    const known = await state.certificates();
    const meant = known.filter(({ name, fingerprint }) => {
      return name === which || fingerprint === fingerprintOf(which);
    });
    const certificates = meant.length > 0 ? meant : await fromFile(which, known);
    if (certificates === undefined)
      return refuseCertificate(
        terminal,
        `no certificate was issued to, has the fingerprint, or lies in ${which}`,
      );
    for (const certificate of certificates) {
      const { name, fingerprint } = certificate;
      const isNew = await revoke(certificate, state, known);
      printLine(terminal.stdout, `${name} ${fingerprint} is revoked${isNew ? '' : ' already'}`);
    }
    const withdrawal: Withdrawal = {
      done: certificates.length === 1 ? 'the certificate is revoked' : 'the certificates are revoked',
      refused: certificates.length === 1 ? 'it' : 'them',
      isWithdrawn: ({ revokedCertificates }) =>
        certificates.every(({ tbsHash }) => revokedCertificates.has(tbsHash)),
    };
    return confirmWithdrawal(withdrawal, options.home, terminal);
  });
}

/**
 * Returns the certificate in a file. If somebody has changed only the signature of an issued certificate, the
 * issued one is returned.
 */
async function fromFile(
  file: string,
  known: readonly StoredCertificate[],
): Promise<readonly StoredCertificate[] | undefined> {
  const bytes = await readRegularFile(file).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const certificate = parse(bytes);
  if (certificate === undefined) return undefined;
  const commonName = /^CN=(.*)$/m.exec(certificate.subject ?? '')?.[1];
  const read = toStored(certificate, commonName ?? 'without a name', certificate.validFromDate.getTime());
  const issued = known.filter(({ tbsHash }) => tbsHash === read.tbsHash);
  return issued.length > 0 ? issued : [read];
}

function parse(bytes: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}

async function revoke(
  certificate: StoredCertificate,
  state: AuthState,
  known: readonly StoredCertificate[],
): Promise<boolean> {
  if (known.includes(certificate)) return state.revokeCertificate(certificate.fingerprint, systemClock());
  await state.putCertificate({ ...certificate, revokedAt: systemClock() });
  return true;
}
