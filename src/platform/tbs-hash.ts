import { createHash, type X509Certificate } from 'node:crypto';

/**
 * Returns the SHA-256 of the signed part of a certificate (the TBSCertificate of RFC 5280 §4.1), as
 * lower-case hex. A revocation uses this hash and not the certificate's fingerprint: the holder of a
 * certificate with an ECDSA signature (r, s) can change it to (r, n - s), which is equally valid and has
 * another fingerprint.
 */
export function tbsHash({ raw }: X509Certificate): string {
  const start = contentOf(raw, 0).start;
  return createHash('sha256')
    .update(raw.subarray(start, contentOf(raw, start).end))
    .digest('hex');
}

/**
 * Returns where the content of the DER element at `offset` starts and ends. OpenSSL has parsed it already.
 */
function contentOf(der: Buffer, offset: number): { readonly start: number; readonly end: number } {
  const first = der.readUInt8(offset + 1);
  const size = first < 0x80 ? 0 : first & 0x7f;
  const start = offset + 2 + size;
  return { start, end: start + (size === 0 ? first : der.readUIntBE(offset + 2, size)) };
}
