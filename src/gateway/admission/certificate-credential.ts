const PREFIX = 'crt_';

/** The id of the credential that a client certificate is, from its `tbsHash`. */
export function certificateCredential(tbsHash: string): string {
  return PREFIX + tbsHash.slice(0, 20);
}

export function isCertificateCredential(id: string): boolean {
  return id.startsWith(PREFIX);
}
