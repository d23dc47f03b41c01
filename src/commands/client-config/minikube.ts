import { certificateFiles } from './certificate-files.ts';
import { below, containerdFiles } from './kind.ts';
import { auditLine, type ClientKit, HUB_HOSTS, type KitRequest } from './kit.ts';

/**
 * The directory whose files minikube copies at each start to the same paths of its node: minikube's handbook,
 * "File Sync".
 */
const FILES = '.minikube/files';

/**
 * Makes a kit for both runtimes of minikube. containerd reads hosts.toml; Docker reads the directory of the
 * mirror and a flag.
 */
export function minikubeKit(asked: KitRequest): ClientKit {
  const { mirror, name, strict } = asked;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: below(FILES, [
      ...containerdFiles(asked),
      ...certificateFiles(mirror, `/etc/docker/certs.d/${mirror.host}`),
    ]),
    notes: {
      merge: [
        'Copy the files into the directory of minikube, ~/.minikube or $MINIKUBE_HOME/.minikube: cp -a .minikube ~/',
      ],
      reload: [
        'minikube start --container-runtime=containerd',
        `minikube start --container-runtime=docker --registry-mirror=${mirror.url}   for docker.io alone; the flag counts when the cluster is made`,
      ],
      check: ['minikube ssh -- sudo crictl pull docker.io/library/alpine', auditLine(`cert:${name}`)],
      notReached: [
        'The image of the node itself (kicbase) and what minikube caches on the host: your machine pulls it.',
        'With Docker as the runtime: all registries except docker.io.',
        `Names that begin with ${mirror.host}/: they go by the login of the pod, and without one by nothing; with Docker as the runtime`,
        'the certificate is shown for them too.',
      ],
      fallback: strict
        ? [
            'containerd asks the mirror alone: where it refuses or fails, the pull fails. Docker asks Docker Hub, and has no setting',
            `against it: block ${HUB_HOSTS} for this machine.`,
          ]
        : [
            'When the mirror refuses or fails, the runtime asks the registry itself. --strict closes that for containerd;',
            `else block ${HUB_HOSTS} for this machine.`,
          ],
    },
  };
}
