/**
 * Whom does the client certificate of a connection name? Asked at every request: connections outlive certificates and what
 * is revoked. It depends on the authorities of the moment, and must not know what else a request shows.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Live } from '../../platform/live.ts';
import { tbsHash } from '../../platform/tbs-hash.ts';
import type { Identity } from './auth-client.ts';
import { certificateCredential } from './certificate-credential.ts';
import { certificateSubject } from './certificate-subject.ts';
import type { LiveCredentials } from './credentials-in-force.ts';

/** A connection with TLS, or one without, which presents nothing. */
type CertifiedSocket = Partial<Pick<TLSSocket, 'authorized' | 'getPeerX509Certificate'>>;

export interface IdentifyByCertificate {
  /** Returns undefined if the peer presents no certificate that counts. */
  (socket: CertifiedSocket): Identity | undefined;
  /**
   * Returns why a certificate of one of our authorities does not count. Only the holder of its key learns
   * this.
   */
  faultOf(socket: CertifiedSocket): CertificateFault | undefined;
}

export type CertificateFault = 'revoked' | 'expired';

export interface ClientCertificateOptions {
  readonly authorities: Live<readonly X509Certificate[]>;
  readonly credentials: Pick<LiveCredentials, 'isRevoked'>;
  readonly clock: Clock;
}

/** Extended key usage of RFC 5280 §4.2.1.12: TLS client authentication. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export function createIdentifyByCertificate({
  authorities,
  credentials,
  clock,
}: ClientCertificateOptions): IdentifyByCertificate {
  // A connection's certificate never changes (renegotiation is off), so what is costly is done once for each list of authorities.
  const remembered = new WeakMap<object, Remembered>();
  const verifiedOf = (socket: CertifiedSocket) => {
    const by = authorities.current;
    const known = remembered.get(socket);
    const verified = known?.by === by ? known.verified : verify(socket, by);
    remembered.set(socket, { by, verified });
    return verified;
  };

  const identify = (socket: CertifiedSocket): Identity | undefined => {
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

/** A certificate that is what it should be, except for its time, its revocation and what OpenSSL says of it. */
interface Verified {
  readonly certificate: X509Certificate;
  /** Several where an authority's own certificate was renewed. */
  readonly issuers: readonly X509Certificate[];
  readonly subject: Subject;
  readonly tbsHash: string;
}

interface Remembered {
  readonly by: readonly X509Certificate[];
  readonly verified: Verified | undefined;
}

/**
 * `authorized` alone says nothing: after a resumption it is true of a client without a certificate (nodejs/node#64584), and
 * on an open connection it is of the authorities of its beginning. It is asked for what OpenSSL judges beside this, such as
 * name constraints.
 */
function verify(socket: CertifiedSocket, authorities: readonly X509Certificate[]): Verified | undefined {
  const certificate = socket.getPeerX509Certificate?.();
  if (certificate === undefined) return undefined;
  // Of X509Certificate, `keyUsage` is the extended one.
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
