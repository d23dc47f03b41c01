import type { X509Certificate } from 'node:crypto';
import { isCertificateName, type Subject } from '../../access/subject.ts';

/** Whom a client certificate names: by its SPIFFE URI where it has one, else by its common name. */
export function certificateSubject(certificate: X509Certificate): Subject | undefined {
  const uri = spiffeUri(certificate);
  const name = uri ?? commonName(certificate);
  const isLegal = uri === undefined ? isCertificateName(name ?? '') : SPIFFE_ID.test(uri);
  return name !== undefined && isLegal ? { kind: 'cert', name } : undefined;
}

const SPIFFE = 'spiffe://';

/** SPIFFE-ID §2, with the path that X509-SVID §5.2 wants of a leaf. */
const SPIFFE_ID = /^(?=.{1,2048}$)spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;

/** Node writes the alternative names as one text, and quotes and escapes a value with a comma of its own. */
function spiffeUri({ subjectAltName = '' }: X509Certificate): string | undefined {
  const uri = subjectAltName.split(', ').find((name) => name.startsWith(`URI:${SPIFFE}`));
  return uri?.slice('URI:'.length);
}

/** Node writes the subject's parts in lines, and a line end in a value as an escape. Of several, none counts. */
function commonName({ subject }: X509Certificate): string | undefined {
  const names = (subject ?? '').split('\n').filter((line) => line.startsWith('CN='));
  return names.length === 1 ? names[0]?.slice('CN='.length) : undefined;
}
