/** The clients that `client-config` knows, apart from what makes their files: the command line loads no more than the names. */
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
