import { caFile, certificatePaths, curlLine, pairFiles } from './certificate-files.ts';
import { hostsFiles } from './hosts-toml.ts';
import { auditLine, type ClientKit, HUB_HOSTS, type KitRequest } from './kit.ts';

const ROOT = '/etc/containerd/certs.d';
/**
 * This is not the mirror's own directory, because containerd would then present the pair, and no login, for
 * names that begin with the mirror's name.
 */
const PAIR = '/etc/containerd/hubgate';

const PUSH = 'A push to these registries fails, and says so: the mirror serves pulls only.';

/** Makes the kit for the pulls of the kubelet and of ctr. */
export function containerdKit({ mirror, name, strict }: KitRequest): ClientKit {
  const directory = `${ROOT}/${mirror.host}`;
  const paths = certificatePaths(mirror, directory, PAIR);
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [...caFile(mirror, directory), ...pairFiles(PAIR), ...hostsFiles(mirror, ROOT, paths, strict)],
    notes: {
      merge: [
        '/etc/containerd/config.toml has to name the directory, where it does not yet. containerd 2.x (version = 3):',
        `  [plugins."io.containerd.cri.v1.images".registry]`,
        `    config_path = "${ROOT}"`,
        'containerd 1.x (version = 2):',
        `  [plugins."io.containerd.grpc.v1.cri".registry]`,
        `    config_path = "${ROOT}"`,
        'It excludes registry.mirrors and registry.configs.*.tls in the same file: remove those.',
        `Where ${directory}/ has a client.cert and client.key of an earlier installation, remove both: with them no login`,
        `is presented for names that begin with ${mirror.host}/.`,
      ],
      reload: [
        'systemctl restart containerd   after a change of config.toml; pods go on running. The other files are read at the next pull.',
      ],
      check: [
        curlLine(mirror, paths),
        'crictl pull docker.io/library/alpine',
        `ctr images pull --hosts-dir ${ROOT} docker.io/library/alpine:latest`,
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'ctr without --hosts-dir; nerdctl reads the directory by itself.',
        'A login of the pod (imagePullSecrets) for docker.io goes to the mirror too, where the certificate counts and not the login.',
        `Names that begin with ${mirror.host}/: they go by the login of the pod or of ctr --user, and without one by nothing.`,
        'BuildKit and dockerd on the same machine: they have files of their own.',
      ],
      fallback: strict
        ? ['The mirror alone is asked: if it refuses or fails, the pull fails.', PUSH]
        : [
            'When the mirror refuses or fails, containerd asks the registry itself. --strict closes that;',
            `else block ${HUB_HOSTS} for this machine.`,
            PUSH,
          ],
    },
  };
}
