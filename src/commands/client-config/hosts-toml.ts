import type { CertificatePaths } from './certificate-files.ts';
import type { ClientFile, Mirror } from './kit.ts';

/**
 * One `hosts.toml` for each registry that is mirrored, under `root`: containerd's way to say it, which dockerd from 28 reads too.
 * What `server` names is asked last. containerd 1.6 takes a file without a table `host` for a broken one, and then asks the registry
 * itself: so where the mirror is all that is to be asked, it stands there twice.
 */
export function hostsFiles(
  mirror: Mirror,
  root: string,
  paths: CertificatePaths,
  strict: boolean,
): ClientFile[] {
  const settings = ['capabilities = ["pull", "resolve"]', ...clientLines(paths)];
  return mirror.upstreams.map((upstream) => {
    const lines = [
      ...(strict ? [`server = "${mirror.url}"`, ...settings] : [`server = "${originOf(upstream)}"`]),
      '',
      `[host."${mirror.url}"]`,
      ...settings.map((line) => `  ${line}`),
      '',
    ];
    return { path: `${root}/${upstream}/hosts.toml`, mode: 0o644, content: { text: lines.join('\n') } };
  });
}

function originOf(upstream: string): string {
  return `https://${upstream === 'docker.io' ? 'registry-1.docker.io' : upstream}`;
}

function clientLines({ ca, certificate, key }: CertificatePaths): string[] {
  return [...(ca === undefined ? [] : [`ca = "${ca}"`]), `client = [["${certificate}", "${key}"]]`];
}
