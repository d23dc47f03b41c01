import { caFile, certificatePaths, pairFiles } from './certificate-files.ts';
import { hostsFiles, ownHostsFile } from './hosts-toml.ts';
import { auditLine, type ClientFile, type ClientKit, HUB_HOSTS, type KitRequest } from './kit.ts';

const FILE = 'hubgate-kind.yaml';
/**
 * The directory on the machine that runs kind. kind resolves a relative path in the directory in which it is
 * called.
 */
const DIRECTORY = 'hubgate';
const ROOT = '/etc/containerd/certs.d';
const PAIR = '/etc/containerd/hubgate';

/** Returns the files for a containerd in a node that is a container or a virtual machine. */
export function containerdFiles({ mirror, strict }: KitRequest): ClientFile[] {
  const paths = certificatePaths(mirror, `${ROOT}/${mirror.host}`, PAIR);
  return [
    ...hostsFiles(mirror, ROOT, paths, strict),
    ...(paths.ca === undefined ? [] : [ownHostsFile(mirror, ROOT, paths)]),
    ...caFile(mirror, `${ROOT}/${mirror.host}`),
    ...pairFiles(PAIR),
  ];
}

/** Returns the files with their paths below `directory`. */
export function below(directory: string, files: readonly ClientFile[]): ClientFile[] {
  return files.map((file) => ({ ...file, path: `${directory}${file.path}` }));
}

/** Makes the kit for a cluster in containers (kubernetes-sigs/kind, pkg/apis/config/v1alpha4/types.go). */
export function kindKit(asked: KitRequest): ClientKit {
  const { name, strict, mirror } = asked;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [
      { path: FILE, mode: 0o644, content: { text: CLUSTER } },
      ...below(DIRECTORY, containerdFiles(asked)),
    ],
    notes: {
      merge: ['Each further entry of nodes needs the same extraMounts.'],
      reload: [
        `kind create cluster --config ${FILE}   in the directory of the files; a cluster that exists is made anew`,
      ],
      check: [
        'docker exec kind-control-plane crictl pull docker.io/library/alpine',
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'The image of the nodes themselves, kindest/node: Docker pulls it, see hubgate client-config dockerd.',
        `Names that begin with ${mirror.host}/: they go by the login of the pod, and without one by nothing.`,
      ],
      fallback: strict
        ? ['The mirror alone is asked: if it refuses or fails, the pull fails.']
        : [
            'When the mirror refuses or fails, containerd asks the registry itself. --strict closes that;',
            `else block ${HUB_HOSTS} for this machine.`,
          ],
    },
  };
}

/** Nodes of kind 0.27 and later read the directory without the patch, which does them no harm. */
const CLUSTER = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "${ROOT}"
nodes:
  - role: control-plane
    extraMounts:
      - hostPath: ${DIRECTORY}${ROOT}
        containerPath: ${ROOT}
        readOnly: true
      - hostPath: ${DIRECTORY}${PAIR}
        containerPath: ${PAIR}
        readOnly: true
`;
