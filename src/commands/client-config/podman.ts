import { certificateFiles, certificatePaths, curlLine } from './certificate-files.ts';
import { auditLine, type ClientKit, HUB_HOSTS, type KitRequest } from './kit.ts';
import { registriesDropIn } from './registries-conf.ts';

/** Makes the kit for podman, buildah and CRI-O, which share one library and its files. */
export function podmanKit({ mirror, name, strict }: KitRequest): ClientKit {
  const directory = `/etc/containers/certs.d/${mirror.host}`;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [...certificateFiles(mirror, directory), registriesDropIn(mirror, strict)],
    notes: {
      merge: [
        'A [[registry]] of the same prefix in another file of registries.conf.d that sorts later wins: remove it.',
        'If "alpine" alone should mean docker.io/library/alpine and does not yet, in registries.conf:',
        '  unqualified-search-registries = ["docker.io"]',
      ],
      reload: ['podman, buildah: nothing. CRI-O: systemctl reload crio'],
      check: [
        curlLine(mirror, certificatePaths(mirror, directory)),
        'podman pull docker.io/library/alpine',
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'Rootless podman, which may not read the key: give it a certificate of its own, in ~/.config/containers/certs.d/',
        `${mirror.host}/; that directory is then read instead.`,
        'Logins of docker.io: they are never sent to a mirror.',
        'podman search, with --list-tags too: it asks Docker Hub itself, --strict or not. Tags by the mirror’s name:',
        `  podman search --list-tags ${mirror.host}/docker.io/library/alpine`,
        `Where somebody has done podman login ${mirror.host}, that login counts before the certificate.`,
      ],
      fallback: fallbackLines(strict),
    },
  };
}

export function fallbackLines(strict: boolean): string[] {
  if (strict) return ['The mirror alone is asked: if it refuses or fails, the pull fails.'];
  return [
    'When the mirror refuses a manifest or fails, the registry itself is asked. --strict closes that;',
    `else block ${HUB_HOSTS} for this machine.`,
  ];
}
