import { parseNetwork } from '../../../platform/network.ts';
import { type Finding, wrong } from '../checks.ts';
import { readCertsDirectory } from './certs-d.ts';
import type { HostFiles, Settings } from './host-files.ts';
import { readHostsToml } from './hosts-toml.ts';
import { isMirror, type ProbedMirror } from './mirror.ts';
import { machineAuthorities, type Program, type PullRoute } from './route.ts';

const DAEMON = '/etc/docker/daemon.json';
const HOSTS = '/etc/docker/certs.d/docker.io/hosts.toml';

/**
 * Reads the configuration of dockerd. The classic store uses `registry-mirrors`, and presents to the mirror
 * the certificates for the mirror. The containerd store uses `hosts.toml`, or `registry-mirrors` with only
 * the certificates for docker.io and the machine's trust store.
 */
export async function readDockerd(files: HostFiles, mirror: ProbedMirror): Promise<Program> {
  const daemon = await files.json(DAEMON);
  const mirrors = daemon.at('registry-mirrors').texts;
  const isMirrored = mirrors.some((one) => isMirror(mirror, one));
  const unusable = mirrors.flatMap(faultOf);
  const isContainerd = daemon.at('features', 'containerd-snapshotter').value === true;
  const own = await readCertsDirectory(files, `/etc/docker/certs.d/${mirror.authority}`);
  const hub = await readCertsDirectory(files, '/etc/docker/certs.d/docker.io');
  const hosts = await readHostsToml(files, HOSTS, mirror, 'dockerd, by hosts.toml');
  const certs = isContainerd ? hub : own;
  const byMirrors: PullRoute = {
    program: 'dockerd',
    file: DAEMON,
    authorities: [...(await machineAuthorities(files)), ...certs.authorities],
    trustedIn: isContainerd
      ? 'the machine’s trust store (update-ca-certificates), and restart dockerd'
      : `/etc/docker/certs.d/${mirror.authority}/ca.crt`,
    ...(certs.certificate && { certificate: certs.certificate }),
    ...(isInsecure(daemon, mirror) && { isUnverified: true }),
    mayLogIn: false,
  };
  // If there is a hosts.toml, the containerd store ignores registry-mirrors.
  const usesMirrors =
    isMirrored &&
    unusable.length === 0 &&
    !(isContainerd && hosts.route !== undefined) &&
    certs.findings.length === 0;
  const findings: readonly Finding[] = [...unusable, ...own.findings, ...hub.findings, ...hosts.findings];
  return {
    name: 'dockerd',
    isHere: await files.has('/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd', DAEMON),
    routes: [...(usesMirrors ? [byMirrors] : []), ...(hosts.route === undefined ? [] : [hosts.route])],
    findings,
    mend: `write "registry-mirrors": ["${mirror.origin}"] into ${DAEMON} and reload dockerd; with the containerd store, better ${HOSTS}`,
  };
}

/**
 * Reports an invalid mirror, because dockerd does not start if a mirror has more than scheme, host and port.
 */
function faultOf(text: string): Finding[] {
  const url = URL.parse(text);
  const isHttp = url?.protocol === 'https:' || url?.protocol === 'http:';
  const isBare = url?.pathname === '/' && `${url.search}${url.hash}${url.username}${url.password}` === '';
  if (isHttp && isBare) return [];
  const meant = isHttp ? `"${url?.origin}"` : 'the address of the mirror, such as "https://mirror.corp"';
  const what = 'has an entry in registry-mirrors that is more than scheme, host and port, or another scheme';
  return [wrong(DAEMON, `${what}: dockerd does not start with it`, `write ${meant} in its place`)];
}

/**
 * True if the mirror is in `insecure-registries`, which contains networks, and hosts with or without a port.
 */
function isInsecure(daemon: Settings, { authority, host }: ProbedMirror): boolean {
  const listed = daemon.at('insecure-registries').texts;
  return listed.some(
    (one) => one === authority || one === host || parseNetwork([one])?.contains(host) === true,
  );
}
