/**
 * The names of the clients that `client-config` knows. They are in a file of their own, so that the command
 * line does not load the code of the kits.
 */
export const CLIENT_NAMES = [
  'docker',
  'dockerd',
  'containerd',
  'podman',
  'cri-o',
  'buildkit',
  'kubernetes',
  'k3s',
  'rke2',
  'k3d',
  'kind',
  'minikube',
  'talos',
  'skopeo',
  'crane',
  'regctl',
  'github-actions',
  'gitlab',
] as const;

export type ClientName = (typeof CLIENT_NAMES)[number];
