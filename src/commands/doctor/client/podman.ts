import { type Finding, wrong } from '../checks.ts';
import { type CertsDirectory, readCertsDirectory } from './certs-d.ts';
import type { HostFiles, Settings } from './host-files.ts';
import { isMirror, type ProbedMirror } from './mirror.ts';
import { machineAuthorities, type Program, type PullRoute } from './route.ts';

const CONFIG = '/etc/containers/registries.conf';
const DIRECTORY = '/etc/containers/registries.conf.d';

/** Reads the configuration of podman, buildah and CRI-O, which all use registries.conf. */
export async function readPodman(files: HostFiles, mirror: ProbedMirror): Promise<Program> {
  const names = (await files.names(DIRECTORY)).filter((name) => name.endsWith('.conf'));
  let found: PullRoute | Finding | undefined;
  // Only the first of the two directories that exists is used.
  const own = `/etc/containers/certs.d/${mirror.authority}`;
  const dockers = `/etc/docker/certs.d/${mirror.authority}`;
  const certs = await readCertsDirectory(files, (await files.has(own)) ? own : dockers);
  // A file that is read later replaces what earlier files say about the same prefix.
  for (const file of [CONFIG, ...names.map((name) => `${DIRECTORY}/${name}`)]) {
    const registry = (await files.toml(file)).at('registry').list.find(isOfHub);
    if (registry === undefined) continue;
    found = await routeOf(registry, file, certs, files, mirror);
  }
  const findings = [...certs.findings, ...(found !== undefined && 'level' in found ? [found] : [])];
  return {
    name: 'podman',
    isHere: await files.has('/usr/bin/podman', '/usr/bin/buildah', '/usr/bin/crio', '/usr/local/bin/crio'),
    routes: findings.length > 0 || found === undefined || 'level' in found ? [] : [found],
    findings,
    mend: `write a [[registry]] with prefix = "docker.io" and location = "${mirror.authority}/docker.io" into ${DIRECTORY}/mirror.conf`,
  };
}

function isOfHub(registry: Settings): boolean {
  return (registry.at('prefix').text ?? registry.at('location').text) === 'docker.io';
}

async function routeOf(
  registry: Settings,
  file: string,
  { authorities, certificate }: CertsDirectory,
  files: HostFiles,
  mirror: ProbedMirror,
): Promise<PullRoute | Finding | undefined> {
  const isLocation = isMirror(mirror, registry.at('location').text);
  const used = isLocation
    ? registry
    : registry.at('mirror').list.find((one) => isMirror(mirror, one.at('location').text));
  if (used === undefined) return undefined;
  const below = used.at('location').text?.slice(mirror.authority.length + 1) ?? '';
  if (below !== '' && below !== 'docker.io') {
    const what = `makes podman ask the mirror for ${below}/${mirror.repository}, which is another image`;
    return wrong(file, what, `write location = "${mirror.authority}/docker.io"`);
  }
  return {
    program: 'podman',
    file,
    authorities: [...(await machineAuthorities(files)), ...authorities],
    trustedIn: `/etc/containers/certs.d/${mirror.authority}/ca.crt`,
    ...(certificate && { certificate }),
    ...(used.at('insecure').value === true && { isUnverified: true }),
    ...(below !== '' && { base: `/v2/${below}` }),
    mayLogIn: true,
    ...(!isLocation && {
      closeBy: `location = "${mirror.authority}/docker.io" in ${file}, and no [[registry.mirror]]`,
    }),
  };
}
