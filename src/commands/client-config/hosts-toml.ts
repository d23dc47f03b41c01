import type { CertificatePaths } from './certificate-files.ts';
import type { ClientFile, KitMirror } from './kit.ts';

/**
 * Returns one `hosts.toml` below `root` for each mirrored registry. It is containerd's format, which dockerd
 * reads too from version 28 on. The registry that `server` names is asked last. containerd 1.6 takes a file
 * without a table `host` for broken and then asks the registry itself, so if only the mirror is to be asked,
 * the file names it twice.
 *
 * The mirror has no line `capabilities`, which means all of them in every version. docker 29.1 and later asks
 * the registry itself for the referrers of an image if the mirror lacks the capability `referrers`, and
 * containerd before 2.2 drops a file that names it. A push then goes to the mirror, which refuses it with a
 * message; with no host for it, docker reports success and pushes nothing. A table of the registry for pushes
 * alone, before the mirror's, does not help: containerd 1.6 pulls from it too.
 */
export function hostsFiles(
  mirror: KitMirror,
  root: string,
  paths: CertificatePaths,
  strict: boolean,
): ClientFile[] {
  const settings = [...caLines(paths), ...clientLines(paths)];
  return mirror.upstreams.map((upstream) => {
    const lines = [
      ...(strict ? [`server = "${mirror.url}"`, ...settings] : [`server = "${originOf(upstream)}"`]),
      '',
      ...hostLines(mirror, settings),
    ];
    return { path: `${root}/${upstream}/hosts.toml`, mode: 0o644, content: { text: lines.join('\n') } };
  });
}

/**
 * Returns the file for names that begin with the mirror's own name. Without it, a daemon that reads
 * `hosts.toml` presents the certificate in the same directory for these names, and never the login.
 */
export function ownHostsFile(mirror: KitMirror, root: string, paths: CertificatePaths): ClientFile {
  const settings = caLines(paths);
  const lines = [`server = "${mirror.url}"`, ...settings, '', ...hostLines(mirror, settings)];
  return { path: `${root}/${mirror.host}/hosts.toml`, mode: 0o644, content: { text: lines.join('\n') } };
}

/**
 * Returns one `hosts.toml` for each mirrored registry, for a client that presents a login and no certificate.
 * The client sends its login to every host in the file, so the mirror is the only one. With a certificate,
 * the mirror would not ask for the login.
 */
export function loginHostsFiles(mirror: KitMirror, root: string, directory: string): ClientFile[] {
  const settings = mirror.ca === undefined ? [] : [`ca = "${directory}/ca.crt"`];
  const text = [`server = "${mirror.url}"`, ...settings, '', ...hostLines(mirror, settings)].join('\n');
  return [...mirror.upstreams, mirror.host].map((name) => ({
    path: `${root}/${name}/hosts.toml`,
    mode: 0o644,
    content: { text },
  }));
}

function hostLines({ url }: KitMirror, settings: readonly string[]): string[] {
  return [`[host."${url}"]`, ...settings.map((line) => `  ${line}`), ''];
}

function originOf(upstream: string): string {
  return `https://${upstream === 'docker.io' ? 'registry-1.docker.io' : upstream}`;
}

function caLines({ ca }: CertificatePaths): string[] {
  return ca === undefined ? [] : [`ca = "${ca}"`];
}

function clientLines({ certificate, key }: CertificatePaths): string[] {
  return [`client = [["${certificate}", "${key}"]]`];
}
