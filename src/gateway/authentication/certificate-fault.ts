import type { CertificateFault } from './client-certificate.ts';

/** Returns the message for a person who pulls on a machine with such a certificate. */
export function certificateFaultText(fault: CertificateFault): string {
  return `the client certificate is ${fault}; ask for another one (hubgate cert issue)`;
}
