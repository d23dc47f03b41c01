import { certificatePaths, curlLine } from './certificate-files.ts';
import { auditLine, type ClientKit, HUB_HOSTS, type KitRequest } from './kit.ts';
import { nodeFiles, ownNameLine, registriesYaml } from './registries-yaml.ts';

/** k3s and RKE2 differ in the names of their directory and of their services. */
interface Distribution {
  readonly directory: string;
  readonly services: readonly string[];
  readonly crictl: string;
}

export function k3sKit(asked: KitRequest): ClientKit {
  const services = ['k3s', 'k3s-agent'];
  return kitOf(asked, { directory: '/etc/rancher/k3s', services, crictl: 'k3s crictl' });
}

export function rke2Kit(asked: KitRequest): ClientKit {
  const services = ['rke2-server', 'rke2-agent'];
  return kitOf(asked, {
    directory: '/etc/rancher/rke2',
    services,
    crictl: '/var/lib/rancher/rke2/bin/crictl',
  });
}

function kitOf(
  { mirror, name, strict }: KitRequest,
  { directory, services, crictl }: Distribution,
): ClientKit {
  const certificates = `${directory}/hubgate`;
  const file = `${directory}/registries.yaml`;
  const settings = `${directory}/config.yaml.d/hubgate.yaml`;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [
      { path: file, mode: 0o644, content: { text: registriesYaml(mirror, certificates) } },
      ...nodeFiles(mirror, certificates),
      ...(strict
        ? [
            {
              path: settings,
              mode: 0o644,
              content: { text: 'disable-default-registry-endpoint: true\n' },
            } as const,
          ]
        : []),
    ],
    notes: {
      merge: [
        `${file} may be there already: add the entries under mirrors and configs to it.`,
        'Each node needs these files, servers and agents.',
      ],
      reload: [`systemctl restart ${services.join('   or on an agent: systemctl restart ')}`],
      check: [
        curlLine(mirror, certificatePaths(mirror, certificates)),
        `${crictl} pull docker.io/library/alpine`,
        auditLine(`cert:${name}`),
      ],
      notReached: [
        ownNameLine(mirror),
        'A login of the pod (imagePullSecrets) for docker.io goes to the mirror too, where the certificate counts and not the login.',
        'Images that are on the node already (agent/images): nobody pulls them.',
      ],
      fallback: strict
        ? [
            'The mirror alone is asked: if it refuses or fails, the pull fails. This needs a release of January 2024 or later',
            '(v1.29.1, v1.28.6, v1.27.10, v1.26.13).',
          ]
        : [
            'When the mirror refuses or fails, containerd asks the registry itself. --strict closes that;',
            `else block ${HUB_HOSTS} for this machine.`,
          ],
    },
  };
}
