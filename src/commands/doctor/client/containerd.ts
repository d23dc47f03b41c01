import { type Finding, wrong } from '../checks.ts';
import type { HostFiles, Settings } from './host-files.ts';
import { type ReadHostsToml, readHostsToml } from './hosts-toml.ts';
import { isMirror, type ProbedMirror } from './mirror.ts';
import { machineAuthorities, type Program, type PullRoute } from './route.ts';

const CONFIG = '/etc/containerd/config.toml';
const CERTS = '/etc/containerd/certs.d';

/**
 * Reads the configuration of a containerd of its own, as kubelet and nerdctl use it. Nobody configures the
 * one below dockerd.
 */
export async function readContainerd(files: HostFiles, mirror: ProbedMirror): Promise<Program> {
  const config = await files.toml(CONFIG);
  const registry = registryOf(config);
  const directories = (registry.at('config_path').text ?? '').split(':').filter((one) => one !== '');
  const hosts = await readHosts(files, directories.length > 0 ? directories : [CERTS], mirror);
  const endpoints = registry.at('mirrors', 'docker.io', 'endpoint').texts;
  const endpoint = endpoints.find((one) => isMirror(mirror, one));
  const access = registry.at('configs', mirror.authority);
  const authorization = loginOf(access);
  const byEndpoint: PullRoute = {
    program: 'containerd',
    file: CONFIG,
    authorities: await machineAuthorities(files),
    trustedIn: 'the machine’s trust store (update-ca-certificates), and restart containerd',
    ...(access.at('tls', 'insecure_skip_verify').value === true && { isUnverified: true }),
    ...(authorization !== undefined && { authorization }),
    base: URL.parse(endpoint ?? '')?.pathname.replace(/\/$/, '') || '/v2',
    mayLogIn: true,
    closeBy: `a hosts.toml below ${CERTS} in the place of its mirrors, with server = "${mirror.origin}"`,
  };
  const route = hosts.route ?? (endpoint === undefined ? undefined : byEndpoint);
  const isUsed = await files.has('/usr/bin/kubelet', '/usr/local/bin/kubelet', '/var/lib/kubelet', CERTS);
  const isAlone = !(await files.has('/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd'));
  const isThere = await files.has('/usr/bin/containerd', '/usr/local/bin/containerd', CONFIG);
  return {
    name: 'containerd',
    // If a file names the mirror, somebody means the file to be used.
    isHere: isUsed || directories.length > 0 || endpoint !== undefined || (isThere && isAlone),
    routes: route === undefined ? [] : [route],
    findings: [...hosts.findings, ...unread(hosts, directories, config)],
    mend: `write ${CERTS}/docker.io/hosts.toml, with [host."${mirror.origin}"]`,
  };
}

function loginOf(access: Settings): string | undefined {
  const { text: name } = access.at('auth', 'username');
  const { text: password } = access.at('auth', 'password');
  if (name === undefined || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

/** Finds the settings of registries, whose place has changed with the versions of the plugin. */
function registryOf(config: Settings): Settings {
  const plugins = ['io.containerd.cri.v1.images', 'io.containerd.grpc.v1.cri', 'cri'];
  const found = plugins.map((plugin) => config.at('plugins', plugin, 'registry'));
  return found.find(({ value }) => value !== undefined) ?? config.at('plugins', '', 'registry');
}

async function readHosts(
  files: HostFiles,
  directories: readonly string[],
  mirror: ProbedMirror,
): Promise<ReadHostsToml> {
  for (const directory of directories) {
    for (const host of ['docker.io', '_default']) {
      const file = `${directory}/${host}/hosts.toml`;
      if (await files.has(file)) return readHostsToml(files, file, mirror, 'containerd');
    }
  }
  return { findings: [] };
}

/**
 * Reports a hosts.toml that is not read: before version 3 of its configuration, the CRI plugin reads only the
 * directories that the configuration names.
 */
function unread({ route }: ReadHostsToml, directories: readonly string[], config: Settings): Finding[] {
  const version = config.at('version').value;
  if (route === undefined || directories.length > 0 || version === undefined || version === 3) return [];
  const mend = `write config_path = "${CERTS}" there, under plugins."io.containerd.grpc.v1.cri".registry, and restart containerd`;
  return [wrong(CONFIG, `does not let kubelet’s pulls read ${route.file}`, mend)];
}
