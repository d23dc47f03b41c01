import type { CertificateFault } from './client-certificate.ts';

/** What a person who pulls on a machine with such a certificate is told. */
export function certificateFaultText(fault: CertificateFault): string {
  return `the client certificate is ${fault}; ask for another one (hubgate cert issue)`;
}
