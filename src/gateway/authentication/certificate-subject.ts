import type { X509Certificate } from 'node:crypto';
import { isCertificateName, type Subject } from '../../access/subject.ts';

/**
 * Returns the subject that a client certificate names: by its SPIFFE URI if it has one, otherwise by its
 * common name. A certificate with a SPIFFE URI and another URI names nobody (X509-SVID, section 2: a
 * validator must reject it).
 */
export function certificateSubject(certificate: X509Certificate): Subject | undefined {
  const uris = urisOf(certificate);
  if (uris.some((uri) => A_SPIFFE_URI.test(uri))) {
    const [name = '', ...others] = uris;
    return others.length === 0 && SPIFFE_ID.test(name) ? { kind: 'cert', name } : undefined;
  }
  const name = commonName(certificate);
  return name !== undefined && isCertificateName(name) ? { kind: 'cert', name } : undefined;
}

/**
 * Matches URIs that are no valid SPIFFE IDs too: one in quotes, because it contains a comma, or one with an
 * upper-case scheme.
 */
const A_SPIFFE_URI = /^"?spiffe:/i;

/** A SPIFFE ID (SPIFFE-ID §2) with a path, which X509-SVID §5.2 requires of a leaf certificate. */
const SPIFFE_ID = /^(?=.{1,2048}$)spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;

/** Node formats the alternative names as one text. It quotes and escapes a value that contains a comma. */
function urisOf({ subjectAltName = '' }: X509Certificate): string[] {
  const names = subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
  return names.map((name) => name.slice('URI:'.length));
}

/**
 * Node formats the subject with one attribute per line, and escapes a line end in a value. If there are
 * several common names, none counts.
 */
function commonName({ subject }: X509Certificate): string | undefined {
  const names = (subject ?? '').split('\n').filter((line) => line.startsWith('CN='));
  return names.length === 1 ? names[0]?.slice('CN='.length) : undefined;
}
