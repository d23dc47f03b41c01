import { certificateFiles, certificatePaths, curlLine } from './certificate-files.ts';
import { type Asked, auditLine, type Kit } from './kit.ts';
import { fallbackLines } from './podman.ts';
import { registriesDropIn } from './registries-conf.ts';

/** skopeo reads podman's files; what is said of it is other. */
export function skopeoKit({ mirror, name, strict }: Asked): Kit {
  const { host } = mirror;
  const directory = `/etc/containers/certs.d/${host}`;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [...certificateFiles(mirror, directory), registriesDropIn(mirror, strict)],
    notes: {
      merge: ['podman on the same machine goes by the same files.'],
      reload: ['nothing'],
      check: [
        curlLine(mirror, certificatePaths(mirror, directory)),
        'skopeo inspect docker://alpine   from docker.io, by way of the mirror',
        `skopeo inspect docker://${host}/docker.io/library/alpine   the mirror by its own name, which has no way around`,
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'Users who may not read the key. A person goes by a login, and by the mirror’s own name:',
        `  skopeo login ${host} -u NAME`,
        `  skopeo copy docker://${host}/docker.io/library/alpine oci:alpine`,
        '--src-creds and logins of docker.io: they are never sent to a mirror.',
      ],
      fallback: fallbackLines(strict),
    },
  };
}
