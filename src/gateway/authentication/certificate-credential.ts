const PREFIX = 'crt_';

/** Returns the credential id of a client certificate, from its `tbsHash`. */
export function certificateCredential(tbsHash: string): string {
  return PREFIX + tbsHash.slice(0, 20);
}

export function isCertificateCredential(id: string): boolean {
  return id.startsWith(PREFIX);
}
