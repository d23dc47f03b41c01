import { certificateFiles, certificatePaths, curlLine } from './certificate-files.ts';
import { hostsFiles } from './hosts-toml.ts';
import { type Asked, auditLine, HUB_HOSTS, type Kit } from './kit.ts';

const ROOT = '/etc/containerd/certs.d';

/** For the kubelet's pulls and for ctr. The certificate's directory is the mirror's own, so that its own name works too. */
export function containerdKit({ mirror, name, strict }: Asked): Kit {
  const directory = `${ROOT}/${mirror.host}`;
  const paths = certificatePaths(mirror, directory);
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [...certificateFiles(mirror, directory), ...hostsFiles(mirror, ROOT, paths, strict)],
    notes: {
      merge: [
        '/etc/containerd/config.toml has to name the directory, where it does not yet. containerd 2.x (version = 3):',
        `  [plugins."io.containerd.cri.v1.images".registry]`,
        `    config_path = "${ROOT}"`,
        'containerd 1.x (version = 2):',
        `  [plugins."io.containerd.grpc.v1.cri".registry]`,
        `    config_path = "${ROOT}"`,
        'It excludes registry.mirrors and registry.configs.*.tls in the same file: remove those.',
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
        'BuildKit and dockerd on the same machine: they have files of their own.',
      ],
      fallback: strict
        ? ['The mirror alone is asked: where it refuses or fails, the pull fails.']
        : [
            'When the mirror refuses or fails, containerd asks the registry itself. --strict closes that;',
            `else block ${HUB_HOSTS} for this machine.`,
          ],
    },
  };
}
