import { ProxyError } from '../../platform/egress/open-tunnel.ts';
import { propertyOf } from '../../platform/object-properties.ts';
import { errorCode, messageOf } from '../../platform/reason.ts';
import { DeadlineError } from '../../platform/scheduling/deadline.ts';
import { errors } from '../../platform/undici.ts';
import { isUndecodable } from './decode-content.ts';
import { type UpstreamFailure, type UpstreamRefusal, unavailable } from './upstream-result.ts';

/** Thrown if a host is not asked at all. */
export class HostDown extends Error {
  override readonly name = 'HostDown';
  readonly trouble: UpstreamFailure;

  constructor(trouble: UpstreamFailure) {
    super(trouble.detail);
    this.trouble = trouble;
  }
}

/** `host` is the host that failed, or the way that led to it. */
export function refusalOfError(error: unknown, host: string): UpstreamRefusal & { kind: 'unavailable' } {
  return error instanceof HostDown ? { kind: 'unavailable', failure: error.trouble } : troubleOf(error, host);
}

/**
 * True if a connection was cut, so that the host's answer is unknown. UND_ERR_INFO means that an HTTP/2
 * session ended.
 */
export function isCut(error: unknown): boolean {
  const code = errorCode(error) ?? '';
  return (
    ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_INFO'].includes(code) || code.startsWith('ERR_HTTP2_')
  );
}

/** Converts an error of a connection, or of reading from it, to an upstream failure. */
export function troubleOf(error: unknown, host: string): UpstreamRefusal & { kind: 'unavailable' } {
  // Docker Hub's abuse limit has been seen with header lines that end in a bare LF, which no strict parser
  // accepts.
  if (
    error instanceof errors.HTTPParserError &&
    /HAP429|Too Many Requests/.test(String(propertyOf(error, 'data')))
  )
    return unavailable('limited', `${host}: 429`);
  const timedOut =
    error instanceof DeadlineError ||
    error instanceof errors.ConnectTimeoutError ||
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.BodyTimeoutError ||
    (error instanceof ProxyError && error.isLate);
  const code = errorCode(error);
  if (isUndecodable(error))
    return unavailable('unfit', `${host}: a compressed answer cannot be decoded: ${code}`);
  const why = CERTIFICATE_TROUBLE[code ?? ''];
  if (why !== undefined) return unavailable('unreachable', `${host}: ${why} (${code})`);
  return unavailable(timedOut ? 'timeout' : 'unreachable', `${host}: ${code ?? messageOf(error)}`);
}

const UNTRUSTED =
  'its certificate is not of an authority that is trusted here; upstreams.<host>.ca adds one, and egress.ca that of a proxy which inspects TLS';

/** The problems of certificates, by OpenSSL's and Node's codes. */
export const CERTIFICATE_TROUBLE: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  CERT_HAS_EXPIRED: 'its certificate has expired, by the clock of this machine',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, by the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
};
