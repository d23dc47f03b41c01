/**
 * Identifies the client of a connection by its certificate. This is decided at every request, because a
 * connection can outlive a certificate, or its revocation. This module depends on the current authorities,
 * and must not know what else a request presents.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Principal } from '../../access/principal.ts';
import type { Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import { tbsHash } from '../../platform/tbs-hash.ts';
import type { ActiveCredentials } from './active-credentials.ts';
import { certificateCredential } from './certificate-credential.ts';
import { certificateSubject } from './certificate-subject.ts';

/** A connection with TLS, or a connection without TLS, which presents no certificate. */
type CertifiedSocket = object & Partial<Pick<TLSSocket, 'authorized' | 'getPeerX509Certificate'>>;

export interface IdentifyByCertificate {
  /** Returns undefined if the peer presents no certificate that counts. */
  (socket: CertifiedSocket): Principal | undefined;
  /**
   * Returns why a certificate of one of our authorities does not count. Only the holder of its key learns
   * this.
   */
  faultOf(socket: CertifiedSocket): CertificateFault | undefined;
}

export type CertificateFault = 'revoked' | 'expired';

export interface CertificateIdentityOptions {
  readonly authorities: ObservableValue<readonly X509Certificate[]>;
  readonly credentials: Pick<ActiveCredentials, 'isRevoked'>;
  readonly clock: Clock;
}

/** The extended key usage "TLS client authentication" (RFC 5280 §4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export function createIdentifyByCertificate({
  authorities,
  credentials,
  clock,
}: CertificateIdentityOptions): IdentifyByCertificate {
  // The certificate of a connection never changes, because renegotiation is off. So the costly checks are
  // done once for each list of authorities.
  const cached = new WeakMap<object, CachedCertificate>();
  const verifiedOf = (socket: CertifiedSocket) => {
    const by = authorities.current;
    const known = cached.get(socket);
    const verified = known?.by === by ? known.verified : verify(socket, by);
    cached.set(socket, { by, verified });
    return verified;
  };

  const identify = (socket: CertifiedSocket): Principal | undefined => {
    const verified = socket.authorized ? verifiedOf(socket) : undefined;
    if (verified === undefined || credentials.isRevoked(verified.tbsHash)) return undefined;
    const now = clock();
    const { certificate, issuers, subject } = verified;
    const isInTime = isWithin(certificate, now) && issuers.some((issuer) => isWithin(issuer, now));
    return isInTime ? { subject, credential: certificateCredential(verified.tbsHash) } : undefined;
  };

  const faultOf = (socket: CertifiedSocket): CertificateFault | undefined => {
    const verified = verifiedOf(socket);
    if (verified === undefined) return undefined;
    if (credentials.isRevoked(verified.tbsHash)) return 'revoked';
    return verified.certificate.validToDate.getTime() < clock() ? 'expired' : undefined;
  };

  return Object.assign(identify, { faultOf });
}

/**
 * A certificate that passes every check except those of its validity period, of its revocation, and of
 * OpenSSL.
 */
interface Verified {
  readonly certificate: X509Certificate;
  /** There are several if the certificate of an authority itself was renewed. */
  readonly issuers: readonly X509Certificate[];
  readonly subject: Subject;
  readonly tbsHash: string;
}

interface CachedCertificate {
  readonly by: readonly X509Certificate[];
  readonly verified: Verified | undefined;
}

/**
 * Checks what `authorized` does not. `authorized` alone proves nothing: after a resumption it is true for a
 * client without a certificate (nodejs/node#64584), and on an open connection it reflects the authorities at
 * the time of the handshake. It is still required, because OpenSSL also checks other things, such as name
 * constraints.
 */
function verify(socket: CertifiedSocket, authorities: readonly X509Certificate[]): Verified | undefined {
  const certificate = socket.getPeerX509Certificate?.();
  if (certificate === undefined) return undefined;
  // The `keyUsage` of an X509Certificate is the extended key usage.
  const isClients = !certificate.ca && certificate.keyUsage?.includes(CLIENT_AUTH) === true;
  const issuers = authorities.filter(
    (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
  const subject = certificateSubject(certificate);
  if (!isClients || issuers.length === 0 || subject === undefined) return undefined;
  return { certificate, issuers, subject, tbsHash: tbsHash(certificate) };
}

function isWithin({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now <= validToDate.getTime();
}
