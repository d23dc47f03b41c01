import { mkdir } from 'node:fs/promises';
import { mustRun, run } from './process.ts';

/**
 * Installs those of Debian's packages whose program is missing. `packages` names the package of each program.
 */
export async function ensurePackages(packages: Readonly<Record<string, string>>): Promise<void> {
  const missing: string[] = [];
  for (const [program, name] of Object.entries(packages)) {
    if ((await run('sh', ['-c', `command -v ${program}`])).code !== 0) missing.push(name);
  }
  if (missing.length === 0) return;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await mustRun('apt-get', ['update', '--quiet'], { env });
  await mustRun('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', ...missing], { env });
}

/** Unpacks one of Debian's packages into a directory, so that no other test finds its programs. */
export async function unpackPackage(name: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await mustRun('apt-get', ['update', '--quiet'], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
  await mustRun('sh', [
    '-ec',
    'cd "$0" && apt-get download --quiet "$1" && dpkg -x ./*.deb .',
    directory,
    name,
  ]);
}
