import type { X509Certificate } from 'node:crypto';
import { isCertificateName, type Subject } from '../../access/subject.ts';

/** Whom a client certificate names: by its SPIFFE URI where it has one, else by its common name. */
export function certificateSubject(certificate: X509Certificate): Subject | undefined {
  const names = alternativeNames(certificate.subjectAltName ?? '');
  const uri = names?.find((name) => name.startsWith(`URI:${SPIFFE}`))?.slice('URI:'.length);
  const name = uri ?? commonName(certificate);
  const isLegal = uri === undefined ? isCertificateName(name ?? '') : SPIFFE_ID.test(uri);
  // Alternative names that cannot be told apart may hold a SPIFFE URI, so that the common name would not count.
  return names !== undefined && name !== undefined && isLegal ? { kind: 'cert', name } : undefined;
}

const SPIFFE = 'spiffe://';

/** SPIFFE-ID §2, with the path that X509-SVID §5.2 wants of a leaf. */
const SPIFFE_ID = /^(?=.{1,2048}$)spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;

/**
 * Node writes them as one text, each with its type before it, and as a JSON string where it holds what could be taken for
 * the beginning of another. Undefined: it is not of this form.
 */
function alternativeNames(text: string): readonly string[] | undefined {
  const one = /(?:^|, )([A-Za-z][\w ]*:(?:"(?:[^"\\]|\\.)*"|[^",]*))/y;
  const names: string[] = [];
  while (one.lastIndex < text.length) {
    const name = one.exec(text)?.[1];
    if (name === undefined) return undefined;
    names.push(name);
  }
  return names;
}

/** Node writes the subject's parts in lines, and a line end in a value as an escape. Of several, none counts. */
function commonName({ subject }: X509Certificate): string | undefined {
  const names = (subject ?? '').split('\n').filter((line) => line.startsWith('CN='));
  return names.length === 1 ? names[0]?.slice('CN='.length) : undefined;
}
