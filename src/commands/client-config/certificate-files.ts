import type { ClientFile, KitMirror } from './kit.ts';

/** The paths of the files of a client certificate. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
  /** Absent if the machine's own trust store must do. */
  readonly ca?: string;
}

export function certificatePaths({ ca }: KitMirror, directory: string, pair = directory): CertificatePaths {
  return { ...pairPaths(pair), ...(ca !== undefined && { ca: `${directory}/ca.crt` }) };
}

function pairPaths(directory: string): Pick<CertificatePaths, 'certificate' | 'key'> {
  return { certificate: `${directory}/client.cert`, key: `${directory}/client.key` };
}

/**
 * Returns the files in the layout of `certs.d/<host>`, which dockerd, containerd and podman share. Their
 * extensions say what they are.
 */
export function certificateFiles(mirror: KitMirror, directory: string): ClientFile[] {
  return [...caFile(mirror, directory), ...pairFiles(directory)];
}

export function pairFiles(directory: string): ClientFile[] {
  const { certificate, key } = pairPaths(directory);
  return [
    { path: certificate, mode: 0o644, content: { of: 'certificate' } },
    { path: key, mode: 0o600, content: { of: 'key' } },
  ];
}

export function caFile({ ca }: KitMirror, directory: string): ClientFile[] {
  return ca === undefined ? [] : [{ path: `${directory}/ca.crt`, mode: 0o644, content: { text: ca } }];
}

/**
 * Returns the command that tests the certificate. It does not ask for `/v2/` itself, because the mirror
 * answers 401 there to a certificate alone, to ask for a login.
 */
export function curlLine({ url, upstreams }: KitMirror, { ca, certificate, key }: CertificatePaths): string {
  const trust = ca === undefined ? '' : `--cacert ${ca} `;
  // curl takes the text after a colon as a passphrase.
  const escaped = certificate.includes(':') ? `'${certificate.replaceAll(':', '\\:')}'` : certificate;
  const repository = `${upstreams.includes('docker.io') ? '' : `${upstreams[0]}/`}library/alpine`;
  return `curl -sS -o /dev/null -w '%{http_code}\\n' ${trust}--cert ${escaped} --key ${key} ${url}/v2/${repository}/manifests/latest   prints 200, or 403 or 404 where the node may not have this image; 401: the certificate does not count`;
}

/** Returns the lines for clients that have no setting of their own for an authority. */
export function trustStoreLines(ca: string): string[] {
  return [
    `Debian, Ubuntu: cp ${ca} /usr/local/share/ca-certificates/hubgate.crt && update-ca-certificates`,
    `Fedora, RHEL: cp ${ca} /etc/pki/ca-trust/source/anchors/hubgate.crt && update-ca-trust`,
  ];
}
