import { type CertsDirectory, readCertsDirectory } from './certs-d.ts';
import type { HostFiles, Settings } from './host-files.ts';
import { isMirror, type Mirror } from './mirror.ts';
import { machineAuthorities, type Program, type Route } from './route.ts';

const CONFIG = '/etc/containers/registries.conf';
const DIRECTORY = '/etc/containers/registries.conf.d';

/** podman, buildah and CRI-O, which all go by registries.conf. */
export async function readPodman(files: HostFiles, mirror: Mirror): Promise<Program> {
  const names = (await files.names(DIRECTORY)).filter((name) => name.endsWith('.conf'));
  const routes: Route[] = [];
  // Of the two directories the first that is there counts, alone.
  const own = `/etc/containers/certs.d/${mirror.authority}`;
  const dockers = `/etc/docker/certs.d/${mirror.authority}`;
  const certs = await readCertsDirectory(files, (await files.has(own)) ? own : dockers);
  // What is read later replaces what was said before of the same prefix.
  for (const file of [CONFIG, ...names.map((name) => `${DIRECTORY}/${name}`)]) {
    const registry = (await files.toml(file)).at('registry').list.find(isOfHub);
    if (registry === undefined) continue;
    const route = await routeOf(registry, file, certs, files, mirror);
    routes.splice(0, routes.length, ...(route === undefined ? [] : [route]));
  }
  return {
    name: 'podman',
    isHere: await files.has('/usr/bin/podman', '/usr/bin/buildah', '/usr/bin/crio', '/usr/local/bin/crio'),
    routes: certs.findings.length > 0 ? [] : routes,
    findings: certs.findings,
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
  mirror: Mirror,
): Promise<Route | undefined> {
  const isLocation = isMirror(mirror, registry.at('location').text);
  const isMirrored = registry.at('mirror').list.some((one) => isMirror(mirror, one.at('location').text));
  if (!isLocation && !isMirrored) return undefined;
  return {
    program: 'podman',
    file,
    authorities: [...(await machineAuthorities(files)), ...authorities],
    trustedIn: `/etc/containers/certs.d/${mirror.authority}/ca.crt`,
    ...(certificate && { certificate }),
    mayLogIn: true,
    ...(!isLocation && {
      closeBy: `location = "${mirror.authority}/docker.io" in ${file}, and no [[registry.mirror]]`,
    }),
  };
}
