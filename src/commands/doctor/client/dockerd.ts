import type { Finding } from '../checks.ts';
import { readCertsDirectory } from './certs-d.ts';
import type { HostFiles } from './host-files.ts';
import { readHostsToml } from './hosts-toml.ts';
import { isMirror, type Mirror } from './mirror.ts';
import { machineAuthorities, type Program, type Route } from './route.ts';

const DAEMON = '/etc/docker/daemon.json';
const HOSTS = '/etc/docker/certs.d/docker.io/hosts.toml';

/**
 * The classic store goes by `registry-mirrors`, and shows the mirror the certificates for the mirror; the containerd store
 * goes by `hosts.toml`, or by `registry-mirrors` with the certificates for docker.io and the machine's trust store alone.
 */
export async function readDockerd(files: HostFiles, mirror: Mirror): Promise<Program> {
  const daemon = await files.json(DAEMON);
  const isMirrored = daemon.at('registry-mirrors').texts.some((one) => isMirror(mirror, one));
  const isContainerd = daemon.at('features', 'containerd-snapshotter').value === true;
  const own = await readCertsDirectory(files, `/etc/docker/certs.d/${mirror.authority}`);
  const hub = await readCertsDirectory(files, '/etc/docker/certs.d/docker.io');
  const hosts = await readHostsToml(files, HOSTS, mirror, 'dockerd, by hosts.toml');
  const certs = isContainerd ? hub : own;
  const byMirrors: Route = {
    program: 'dockerd',
    file: DAEMON,
    authorities: [...(await machineAuthorities(files)), ...certs.authorities],
    trustedIn: isContainerd
      ? 'the machine’s trust store (update-ca-certificates), and restart dockerd'
      : `/etc/docker/certs.d/${mirror.authority}/ca.crt`,
    ...(certs.certificate && { certificate: certs.certificate }),
    mayLogIn: false,
  };
  // With hosts.toml the containerd store does not look at registry-mirrors.
  const usesMirrors =
    isMirrored && !(isContainerd && hosts.route !== undefined) && certs.findings.length === 0;
  const findings: readonly Finding[] = [...own.findings, ...hub.findings, ...hosts.findings];
  return {
    name: 'dockerd',
    isHere: await files.has('/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd', DAEMON),
    routes: [...(usesMirrors ? [byMirrors] : []), ...(hosts.route === undefined ? [] : [hosts.route])],
    findings,
    mend: `write "registry-mirrors": ["${mirror.origin}"] into ${DAEMON} and reload dockerd; with the containerd store, better ${HOSTS}`,
  };
}
