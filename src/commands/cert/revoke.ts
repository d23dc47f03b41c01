import { X509Certificate } from 'node:crypto';
import { revokeCertificates } from '../../auth/admin/certificates.ts';
import type { Environment } from '../../config/environment.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import { readRegularFile } from '../../platform/regular-file.ts';
import { confirmWithdrawal, type Withdrawal } from '../confirmation.ts';
import { credentialStores } from '../credential-stores.ts';
import { type CertOptions, refuseCertificate } from './options.ts';

/**
 * Revokes all certificates of a name, the one with a fingerprint, or the one in a file. The one in a file may
 * be from another authority.
 */
export async function revokeCert(
  which: string,
  { home }: CertOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const store = await credentialStores(home, environment);
  const revoked = await revokeCertificates(store, which, () => readCertificate(which), systemClock());
  if (revoked.length === 0)
    return refuseCertificate(
      terminal,
      `no certificate was issued to, has the fingerprint, or lies in ${which}`,
    );
  for (const { name, fingerprint, isNew } of revoked)
    printLine(terminal.stdout, `${name} ${fingerprint} is revoked${isNew ? '' : ' already'}`);
  const withdrawal: Withdrawal = {
    done: revoked.length === 1 ? 'the certificate is revoked' : 'the certificates are revoked',
    refused: revoked.length === 1 ? 'it' : 'them',
    isWithdrawn: ({ revokedCertificates }) =>
      revoked.every(({ tbsHash }) => revokedCertificates.has(tbsHash)),
  };
  return confirmWithdrawal(withdrawal, home, terminal);
}

/** Returns undefined if there is no such file, or no certificate in it. */
async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  try {
    return new X509Certificate(await readRegularFile(file));
  } catch {
    return undefined;
  }
}
