import { caFile, certificatePaths, pairFiles } from './certificate-files.ts';
import { type ClientFile, type KitMirror, mirrorAddress } from './kit.ts';

/**
 * Returns `registries.yaml` for k3s, RKE2 and k3d. Its keys are those of the type `Registry` in
 * rancher/wharfie, pkg/registries/endpoint.go. The files of the certificate are in `directory` on the node.
 *
 * k3s makes a `hosts.toml` of each mirror and of each registry in `configs` (k3s-io/k3s,
 * pkg/agent/containerd/config.go). It finds the certificate of an endpoint by the host in its URL, with the
 * port if there is one.
 */
export function registriesYaml(mirror: KitMirror, directory: string): string {
  const { host, upstreams } = mirror;
  const address = mirrorAddress(mirror);
  const { ca, certificate, key } = certificatePaths(mirror, directory);
  const caLine = ca === undefined ? [] : [`      ca_file: "${ca}"`];
  return [
    'mirrors:',
    ...upstreams.flatMap((upstream) => [`  "${upstream}":`, `    endpoint: ["https://${address}"]`]),
    'configs:',
    `  "${address}":`,
    '    tls:',
    ...caLine,
    `      cert_file: "${certificate}"`,
    `      key_file: "${key}"`,
    ...(address === host || ca === undefined ? [] : [`  "${host}":`, '    tls:', ...caLine]),
    '',
  ].join('\n');
}

export function nodeFiles(mirror: KitMirror, directory: string): ClientFile[] {
  return [...caFile(mirror, directory), ...pairFiles(directory)];
}

/** Says how names that begin with the mirror's own name are pulled. */
export function ownNameLine(mirror: KitMirror): string {
  return mirrorAddress(mirror) === mirror.host
    ? `Names that begin with ${mirror.host}/: they show the certificate too, and no login of a pod.`
    : `Names that begin with ${mirror.host}/: they go by the login of the pod, and without one by nothing.`;
}
