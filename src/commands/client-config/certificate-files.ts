import type { ClientFile, Mirror } from './kit.ts';

/** Where the files of a client certificate lie. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
  /** Absent where the machine's own trust has to do. */
  readonly ca?: string;
}

export function certificatePaths({ ca }: Mirror, directory: string): CertificatePaths {
  return {
    certificate: `${directory}/client.cert`,
    key: `${directory}/client.key`,
    ...(ca !== undefined && { ca: `${directory}/ca.crt` }),
  };
}

/** The layout of `certs.d/<host>`, which dockerd, containerd and podman share: the endings tell them what is what. */
export function certificateFiles(mirror: Mirror, directory: string): ClientFile[] {
  const { certificate, key } = certificatePaths(mirror, directory);
  return [
    ...caFile(mirror, directory),
    { path: certificate, mode: 0o644, content: { of: 'certificate' } },
    { path: key, mode: 0o600, content: { of: 'key' } },
  ];
}

export function caFile({ ca }: Mirror, directory: string): ClientFile[] {
  return ca === undefined ? [] : [{ path: `${directory}/ca.crt`, mode: 0o644, content: { text: ca } }];
}

/** Whom does the mirror take this machine for? 200 is the certificate's answer; without one it is 401. */
export function curlLine({ url }: Mirror, { ca, certificate, key }: CertificatePaths): string {
  const trust = ca === undefined ? '' : `--cacert ${ca} `;
  // To curl, what follows a colon is a passphrase.
  const escaped = certificate.includes(':') ? `'${certificate.replaceAll(':', '\\:')}'` : certificate;
  return `curl -sS -o /dev/null -w '%{http_code}\\n' ${trust}--cert ${escaped} --key ${key} ${url}/v2/   prints 200; 401: the certificate does not count`;
}

/** For what has no setting of its own for an authority. */
export function trustStoreLines(ca: string): string[] {
  return [
    `Debian, Ubuntu: cp ${ca} /usr/local/share/ca-certificates/hubgate.crt && update-ca-certificates`,
    `Fedora, RHEL: cp ${ca} /etc/pki/ca-trust/source/anchors/hubgate.crt && update-ca-trust`,
  ];
}
