import type { ClientFile, Mirror } from './kit.ts';

/** Where the files of a client certificate lie. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
  /** Absent where the machine's own trust has to do. */
  readonly ca?: string;
}

export function certificatePaths({ ca }: Mirror, directory: string, pair = directory): CertificatePaths {
  return { ...pairPaths(pair), ...(ca !== undefined && { ca: `${directory}/ca.crt` }) };
}

function pairPaths(directory: string): Pick<CertificatePaths, 'certificate' | 'key'> {
  return { certificate: `${directory}/client.cert`, key: `${directory}/client.key` };
}

/** The layout of `certs.d/<host>`, which dockerd, containerd and podman share: the endings tell them what is what. */
export function certificateFiles(mirror: Mirror, directory: string): ClientFile[] {
  return [...caFile(mirror, directory), ...pairFiles(directory)];
}

export function pairFiles(directory: string): ClientFile[] {
  const { certificate, key } = pairPaths(directory);
  return [
    { path: certificate, mode: 0o644, content: { of: 'certificate' } },
    { path: key, mode: 0o600, content: { of: 'key' } },
  ];
}

export function caFile({ ca }: Mirror, directory: string): ClientFile[] {
  return ca === undefined ? [] : [{ path: `${directory}/ca.crt`, mode: 0o644, content: { text: ca } }];
}

/**
 * The command that tests the certificate. It does not ask for `/v2/` itself, where the mirror answers 401 to
 * a certificate alone because it asks for a login there.
 */
export function curlLine({ url, upstreams }: Mirror, { ca, certificate, key }: CertificatePaths): string {
  const trust = ca === undefined ? '' : `--cacert ${ca} `;
  // To curl, what follows a colon is a passphrase.
  const escaped = certificate.includes(':') ? `'${certificate.replaceAll(':', '\\:')}'` : certificate;
  const repository = `${upstreams.includes('docker.io') ? '' : `${upstreams[0]}/`}library/alpine`;
  return `curl -sS -o /dev/null -w '%{http_code}\\n' ${trust}--cert ${escaped} --key ${key} ${url}/v2/${repository}/manifests/latest   prints 200, or 403 or 404 where the node may not have this image; 401: the certificate does not count`;
}

/** For what has no setting of its own for an authority. */
export function trustStoreLines(ca: string): string[] {
  return [
    `Debian, Ubuntu: cp ${ca} /usr/local/share/ca-certificates/hubgate.crt && update-ca-certificates`,
    `Fedora, RHEL: cp ${ca} /etc/pki/ca-trust/source/anchors/hubgate.crt && update-ca-trust`,
  ];
}
