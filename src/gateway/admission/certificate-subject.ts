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
 * Matches also a URI that is no valid SPIFFE ID: one in quotes, because it contains a comma, or one with an
 * upper-case scheme.
 */
const A_SPIFFE_URI = /^"?spiffe:/i;

/** SPIFFE-ID §2, with the path that X509-SVID §5.2 wants of a leaf. */
const SPIFFE_ID = /^(?=.{1,2048}$)spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;

/** Node writes the alternative names as one text, and quotes and escapes a value with a comma of its own. */
function urisOf({ subjectAltName = '' }: X509Certificate): string[] {
  const names = subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
  return names.map((name) => name.slice('URI:'.length));
}

/** Node writes the subject's parts in lines, and a line end in a value as an escape. Of several, none counts. */
function commonName({ subject }: X509Certificate): string | undefined {
  const names = (subject ?? '').split('\n').filter((line) => line.startsWith('CN='));
  return names.length === 1 ? names[0]?.slice('CN='.length) : undefined;
}
