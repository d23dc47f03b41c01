import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

/** For connections that trust these authorities, as PEM, beside those that Node trusts. */
export function trusting(authorities: readonly string[]): SecureContext {
  return createSecureContext({ ca: [...getCACertificates('default'), ...authorities] });
}
