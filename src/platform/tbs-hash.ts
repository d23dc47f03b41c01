import { createHash, type X509Certificate } from 'node:crypto';

/**
 * SHA-256 of what the issuer signed (the TBSCertificate of RFC 5280 §4.1), as lower-case hex. A revocation goes by this and
 * not by the certificate's fingerprint: whoever holds a certificate with an ECDSA signature (r, s) can make it one with
 * (r, n - s), which is as valid and has another fingerprint.
 */
export function tbsHash({ raw }: X509Certificate): string {
  const start = contentOf(raw, 0).start;
  return createHash('sha256')
    .update(raw.subarray(start, contentOf(raw, start).end))
    .digest('hex');
}

/** Where the content of the DER element at `offset` starts and ends; OpenSSL has parsed it already. */
function contentOf(der: Buffer, offset: number): { readonly start: number; readonly end: number } {
  const first = der.readUInt8(offset + 1);
  const size = first < 0x80 ? 0 : first & 0x7f;
  const start = offset + 2 + size;
  return { start, end: start + (size === 0 ? first : der.readUIntBE(offset + 2, size)) };
}
