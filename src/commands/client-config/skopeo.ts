import { certificateFiles, certificatePaths, curlLine } from './certificate-files.ts';
import { auditLine, type ClientKit, type KitRequest } from './kit.ts';
import { fallbackLines } from './podman.ts';
import { registriesDropIn } from './registries-conf.ts';

/** Makes the kit for skopeo. It reads podman's files; only the notes differ. */
export function skopeoKit({ mirror, name, strict }: KitRequest): ClientKit {
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
        'skopeo inspect --no-tags docker://docker.io/library/alpine   by way of the mirror',
        `skopeo inspect docker://${host}/docker.io/library/alpine   the mirror by its own name`,
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'Users who may not read the key. A person uses a login, and the mirror’s own name:',
        `  skopeo login ${host} -u NAME`,
        `  skopeo copy docker://${host}/docker.io/library/alpine oci:alpine`,
        '--src-creds and logins of docker.io: they are never sent to a mirror.',
        'Lists of tags: skopeo asks Docker Hub itself for them, --strict or not. That is skopeo list-tags docker://docker.io/…,',
        'skopeo inspect without --no-tags, and skopeo sync where it copies all tags, or those of a pattern. By the mirror’s name:',
        `  skopeo list-tags docker://${host}/docker.io/library/alpine`,
        `Where somebody has done skopeo login ${host}, that login counts before the certificate.`,
      ],
      fallback: fallbackLines(strict),
    },
  };
}
