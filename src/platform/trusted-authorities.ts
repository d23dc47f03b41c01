import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

/** Makes a context that trusts these authorities, as PEM, in addition to those that Node trusts. */
export function trusting(authorities: readonly string[]): SecureContext {
  return createSecureContext({ ca: [...getCACertificates('default'), ...authorities] });
}
