/**
 * The lines that somebody pastes into a shell, so that a client on that machine pulls by the mirror's name.
 */
import { shellWord } from '../platform/shell-word.ts';

export interface SnippetMirror {
  /** The host as names of images have it: `mirror.corp`, with a port if it is not 443. */
  readonly host: string;
  /** The certificate of the local CA as PEM; absent if machines trust the server's certificate already. */
  readonly ca?: string | undefined;
}

export interface SnippetLogin {
  readonly user: string;
  /** Absent if the client is to ask for it. */
  readonly token?: string | undefined;
}

export interface SnippetClient {
  readonly name: string;
  readonly title: string;
  /** True if the machine asks for its own token, which somebody approves on this page. */
  readonly isApproved?: true;
  readonly snippet: (mirror: SnippetMirror, login: SnippetLogin) => string;
}

export const SNIPPET_CLIENTS: readonly SnippetClient[] = [
  {
    name: 'laptop',
    title: 'Docker and Podman, without a stored password',
    isApproved: true,
    snippet: (mirror) => {
      const program = 'docker-credential-hubgate';
      const trust = mirror.ca === undefined ? '' : `--cacert /etc/docker/certs.d/${mirror.host}/ca.crt `;
      return lines(
        trustIn(mirror, `/etc/docker/certs.d/${mirror.host}`),
        mirror.ca === undefined
          ? undefined
          : `sudo mkdir -p /etc/containers/certs.d && sudo cp -r /etc/docker/certs.d/${mirror.host} /etc/containers/certs.d/`,
        `curl -fsS ${trust}https://${mirror.host}/account/${program} | sudo tee /usr/local/bin/${program} > /dev/null`,
        `sudo chmod 755 /usr/local/bin/${program}`,
        `${program} login ${mirror.host}`,
        `docker pull ${mirror.host}/library/alpine`,
      );
    },
  },
  {
    name: 'docker',
    title: 'Docker',
    snippet: (mirror, login) =>
      lines(
        trustIn(mirror, `/etc/docker/certs.d/${mirror.host}`),
        loginWith('docker login', mirror, login),
        `docker pull ${mirror.host}/library/alpine`,
      ),
  },
  {
    name: 'podman',
    title: 'Podman, Buildah and Skopeo',
    snippet: (mirror, login) =>
      lines(
        trustIn(mirror, `/etc/containers/certs.d/${mirror.host}`),
        loginWith('podman login', mirror, login),
        `podman pull ${mirror.host}/library/alpine`,
      ),
  },
  {
    name: 'nerdctl',
    title: 'nerdctl',
    snippet: (mirror, login) => {
      const directory = `/etc/containerd/certs.d/${mirror.host}`;
      return lines(
        trustIn(mirror, directory),
        mirror.ca === undefined
          ? undefined
          : heredoc(`sudo tee ${directory}/hosts.toml`, [
              `server = "https://${mirror.host}"`,
              '',
              `[host."https://${mirror.host}"]`,
              `  ca = "${directory}/ca.crt"`,
            ]),
        loginWith('nerdctl login', mirror, login),
        `nerdctl pull ${mirror.host}/library/alpine`,
      );
    },
  },
  {
    name: 'crane',
    title: 'crane',
    snippet: (mirror, login) =>
      lines(
        trustInSystem(mirror),
        loginWith('crane auth login', mirror, login),
        `crane digest ${mirror.host}/library/alpine`,
      ),
  },
  {
    name: 'helm',
    title: 'Helm',
    snippet: (mirror, login) => lines(trustInSystem(mirror), loginWith('helm registry login', mirror, login)),
  },
  {
    name: 'kubernetes',
    title: 'Kubernetes (a pull secret)',
    snippet: ({ host }, { user, token }) =>
      lines(
        token === undefined ? 'read -rs -p "Token: " TOKEN' : `TOKEN=${shellWord(token)}`,
        'kubectl create secret docker-registry hubgate \\',
        `  --docker-server=${host} --docker-username=${shellWord(user)} --docker-password="$TOKEN"`,
      ),
  },
];

function loginWith(command: string, { host }: SnippetMirror, { user, token }: SnippetLogin): string {
  return token === undefined
    ? `${command} ${host} -u ${shellWord(user)}`
    : `printf %s ${shellWord(token)} | ${command} ${host} -u ${shellWord(user)} --password-stdin`;
}

function trustIn({ ca }: SnippetMirror, directory: string): string | undefined {
  return ca === undefined
    ? undefined
    : lines(`sudo mkdir -p ${directory}`, heredoc(`sudo tee ${directory}/ca.crt`, [ca.trim()]));
}

/** These clients know only the certificates of the machine. The paths are those of Debian and Ubuntu. */
function trustInSystem({ ca }: SnippetMirror): string | undefined {
  return ca === undefined
    ? undefined
    : lines(
        heredoc('sudo tee /usr/local/share/ca-certificates/hubgate.crt', [ca.trim()]),
        'sudo update-ca-certificates',
      );
}

function heredoc(command: string, content: readonly string[]): string {
  return [`${command} > /dev/null <<'END'`, ...content, 'END'].join('\n');
}

function lines(...all: readonly (string | undefined)[]): string {
  return all.filter((one) => one !== undefined).join('\n');
}
