import { certificateFiles, certificatePaths, curlLine, trustStoreLines } from './certificate-files.ts';
import { auditLine, type ClientKit, HUB_HOSTS, type KitRequest, mirrorAddress } from './kit.ts';

const ROOT = '/etc/buildkit';

/**
 * Makes the kit for buildkitd and for builders of `docker buildx create`. buildx copies the files that the
 * configuration names into the builder.
 */
export function buildkitKit(asked: KitRequest): ClientKit {
  const { mirror, name } = asked;
  const directory = `${ROOT}/certs.d/${mirror.host}`;
  const paths = certificatePaths(mirror, directory);
  const file = `${ROOT}/buildkitd.toml`;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [
      { path: file, mode: 0o644, content: { text: settings(asked, paths) } },
      ...certificateFiles(mirror, directory),
    ],
    notes: {
      merge: [
        `${file} may be there already: add the tables to it. Rootless: ~/.config/buildkit/buildkitd.toml`,
      ],
      reload: [
        'systemctl restart buildkit',
        `docker buildx create --use --name mirror --driver docker-container --buildkitd-config ${file}`,
      ],
      check: [
        curlLine(mirror, paths),
        `printf 'FROM alpine\\n' | docker buildx build --pull --no-cache -`,
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'The BuildKit inside dockerd (docker build without a builder): see hubgate client-config dockerd.',
        'docker buildx imagetools inspect alpine: it asks Docker Hub itself; by the mirror’s name it asks the mirror.',
        mirrorAddress(mirror) === mirror.host
          ? `Names that begin with ${mirror.host}/: BuildKit shows the certificate for them, and no login.`
          : `Names that begin with ${mirror.host}/: they go by the docker login ${mirror.host} of who builds.`,
        'Tokens: if the certificate does not count, the docker CLI asks for one, with the login of',
        `docker login ${mirror.host} and without the certificate; for that it has to trust the CA by the machine’s trust store.`,
        ...(paths.ca === undefined ? [] : trustStoreLines(paths.ca)),
      ],
      fallback: [
        'When the mirror refuses or fails, BuildKit asks the registry itself, and has no setting against it, --strict or not:',
        `block ${HUB_HOSTS} for this machine.`,
      ],
    },
  };
}

/**
 * The certificate belongs to the mirror's name with its port. Names of images do not have the port, so names
 * that begin with the mirror's name use the login of the person who builds. The port is the same, but
 * BuildKit compares the text.
 */
function settings(
  { mirror }: KitRequest,
  { ca, certificate, key }: ReturnType<typeof certificatePaths>,
): string {
  const { host, upstreams } = mirror;
  const address = mirrorAddress({ host });
  const caLines = ca === undefined ? [] : [`  ca = ["${ca}"]`];
  return [
    ...upstreams.flatMap((upstream) => [`[registry."${upstream}"]`, `  mirrors = ["${address}"]`, '']),
    ...(address === host ? [] : [`[registry."${host}"]`, ...caLines, '']),
    `[registry."${address}"]`,
    ...caLines,
    `  [[registry."${address}".keypair]]`,
    `    key = "${key}"`,
    `    cert = "${certificate}"`,
    '',
  ].join('\n');
}
