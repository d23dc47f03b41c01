import { type Network, networkOf, parseNetwork } from '../../../platform/network.ts';
import { type Finding, wrong } from '../checks.ts';
import { type CertsDirectory, readCertsDirectory } from './certs-d.ts';
import type { HostFiles, Settings } from './host-files.ts';
import { readHostsToml } from './hosts-toml.ts';
import { isMirror, type ProbedMirror } from './mirror.ts';
import { machineAuthorities, type Program, type PullRoute } from './route.ts';

const DAEMON = '/etc/docker/daemon.json';
const HOSTS = '/etc/docker/certs.d/docker.io/hosts.toml';
const LOOPBACK = networkOf(['127.0.0.0/8', '::1']);

/**
 * Reads the configuration of dockerd. The classic store uses `registry-mirrors`, and presents to the mirror
 * the certificates for the mirror. The containerd store uses `hosts.toml`, or `registry-mirrors` with only
 * the certificates for docker.io and the machine's trust store. Which store a daemon has is known only if its
 * file says so, because the default differs between versions and between upgraded and fresh hosts.
 */
export async function readDockerd(files: HostFiles, mirror: ProbedMirror): Promise<Program> {
  const daemon = await files.json(DAEMON);
  const mirrors = daemon.at('registry-mirrors').texts;
  const isMirrored = mirrors.some((one) => isMirror(mirror, one));
  const unusable = mirrors.flatMap(faultOf);
  const store = daemon.at('features', 'containerd-snapshotter').value;
  const isContainerd = store === true;
  const insecure = whyInsecure(daemon, mirror);
  const own = await readOwn(files, mirror, isContainerd ? undefined : insecure);
  const hub = await readCertsDirectory(files, '/etc/docker/certs.d/docker.io');
  const hosts =
    store === false
      ? { findings: [] }
      : await readHostsToml(files, HOSTS, mirror, 'dockerd with the containerd store');
  const certs = isContainerd ? hub : own;
  const byMirrors: PullRoute = {
    program: 'dockerd',
    file: DAEMON,
    authorities: [...(await machineAuthorities(files)), ...certs.authorities],
    trustedIn: isContainerd
      ? 'the machine’s trust store (update-ca-certificates), and restart dockerd'
      : `/etc/docker/certs.d/${mirror.authority}/ca.crt`,
    ...(certs.certificate && { certificate: certs.certificate }),
    ...(insecure !== undefined && { isUnverified: true }),
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

/** Reads the certificates for the mirror. The classic store presents none to an insecure registry. */
async function readOwn(files: HostFiles, mirror: ProbedMirror, why?: Insecure): Promise<CertsDirectory> {
  const read = await readCertsDirectory(files, `/etc/docker/certs.d/${mirror.authority}`);
  if (why === undefined) return read;
  const { certificate } = read.certificate ?? {};
  if (certificate === undefined) return { authorities: [], findings: [] };
  const what = `is not presented by dockerd, because ${mirror.host} ${why.what}; the mirror sees anonymous`;
  return { authorities: [], findings: [wrong(certificate, what, why.mend)] };
}

/** Why dockerd neither verifies the mirror nor presents a certificate to it. */
interface Insecure {
  readonly what: string;
  readonly mend: string;
}

/**
 * A registry is insecure if its address is a loopback address, or if it is in `insecure-registries`, which
 * contains networks, and hosts with or without a port.
 * https://github.com/moby/moby/blob/v28.2.2/registry/config.go
 */
function whyInsecure(daemon: Settings, { authority, host, addresses }: ProbedMirror): Insecure | undefined {
  const isIn = (network: Network | undefined) => addresses.some((one) => network?.contains(one));
  if (isIn(LOOPBACK))
    return { what: 'is a loopback address', mend: 'let that name mean another address of the machine' };
  const listed = daemon.at('insecure-registries').texts;
  const isListed = listed.some((one) => one === authority || one === host || isIn(parseNetwork([one])));
  if (!isListed) return undefined;
  return { what: 'is in insecure-registries', mend: `remove it there, in ${DAEMON}, and restart dockerd` };
}
