import { parseYaml } from '../../../platform/yaml/yaml-document.ts';
import { type Finding, wrong } from '../checks.ts';
import { type HostFiles, Settings, UnreadableSettings } from './host-files.ts';
import { isMirror, type ProbedMirror } from './mirror.ts';

/** The places where distributions keep the flags of kubelet. */
const FLAG_FILES = [
  '/var/lib/kubelet/kubeadm-flags.env',
  '/etc/default/kubelet',
  '/etc/sysconfig/kubelet',
  '/etc/systemd/system/kubelet.service',
  '/usr/lib/systemd/system/kubelet.service',
];
const DROP_INS = ['/etc/systemd/system/kubelet.service.d', '/usr/lib/systemd/system/kubelet.service.d'];
/** The file in which the kit for pods puts the configuration. */
const OWN_CONFIG = '/etc/kubernetes/hubgate-credential-provider.yaml';
const CONTAINERD_CONFIG = '/etc/containerd/config.toml';

/**
 * Finds each way by which the token of a pod can leave for another host than the mirror. containerd presents
 * the login of kubelet's credential provider to every host of a registry's `hosts.toml`, and at last to the
 * registry itself unless `server` names another host. A client certificate is found too, because the mirror
 * then does not ask for the pod's token, and every pod is the node.
 *
 * https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
export async function podTokenFindings(files: HostFiles, mirror: ProbedMirror): Promise<readonly Finding[]> {
  const registries = new Set<string>();
  for (const file of await configFiles(files)) {
    const text = await files.text(file);
    if (text === undefined) continue;
    for (const registry of tokenRegistries(parseYamlSettings(file, text)))
      if (!isMirror(mirror, registry)) registries.add(registry);
  }
  if (registries.size === 0) return [];
  const directories = await hostsDirectories(files);
  const found = await Promise.all(
    [...registries].map((registry) => leaks(files, directories, registry, mirror)),
  );
  return found.flat();
}

async function configFiles(files: HostFiles): Promise<ReadonlySet<string>> {
  const dropIns = await Promise.all(DROP_INS.map((directory) => files.texts(directory, '.conf')));
  const flags = [...(await Promise.all(FLAG_FILES.map((file) => files.text(file)))), ...dropIns.flat()];
  const named = flags.flatMap((text) =>
    Array.from(
      (text ?? '').matchAll(/--image-credential-provider-config[= ]"?([^\s"']+)/g),
      ([, file = '']) => file,
    ),
  );
  return new Set([...named, OWN_CONFIG]);
}

/** @throws UnreadableSettings if the text is not plain YAML */
function parseYamlSettings(file: string, text: string): Settings {
  const read = parseYaml(file, text);
  if ('yaml' in read) return new Settings(read.yaml.data);
  throw new UnreadableSettings(file, read.faults[0]?.message ?? '');
}

/** Returns the hosts of the registries for which kubelet asks our provider. */
function tokenRegistries(config: Settings): readonly string[] {
  const providers = config.at('providers').list;
  const ours = providers.filter((provider) => provider.at('name').text === 'hubgate-credential-provider');
  return ours.flatMap((provider) =>
    provider.at('matchImages').texts.map((image) => image.split('/', 1)[0] ?? image),
  );
}

async function hostsDirectories(files: HostFiles): Promise<readonly string[]> {
  const config = await files.toml(CONTAINERD_CONFIG);
  const named = config.at('plugins').entries.flatMap(([, plugin]) => {
    const { text } = plugin.at('registry', 'config_path');
    return (text ?? '').split(':').filter((one) => one !== '');
  });
  return named.length > 0 ? named : ['/etc/containerd/certs.d'];
}

async function leaks(
  files: HostFiles,
  directories: readonly string[],
  registry: string,
  mirror: ProbedMirror,
): Promise<readonly Finding[]> {
  const candidates = directories.flatMap((directory) =>
    [registry, '_default'].map((name) => `${directory}/${name}/hosts.toml`),
  );
  const own = `${directories[0]}/${registry}/hosts.toml`;
  const mend = `write it as hubgate client-config kubernetes --service-accounts does, with server = "${mirror.origin}" as its first line`;
  for (const file of candidates) {
    const text = await files.text(file);
    if (text === undefined) continue;
    const toml = await files.toml(file);
    const server = toml.at('server').text;
    const hosts = [server ?? registry, ...toml.at('host').entries.map(([url]) => url)];
    const foreign = hosts.filter((host) => !isMirror(mirror, host));
    const sends = `sends the tokens of pods to ${[...new Set(foreign)].join(' and ')} when the mirror refuses or fails`;
    return [...(foreign.length > 0 ? [wrong(file, sends, mend)] : []), ...certified(toml, file)];
  }
  return [wrong(own, `is not there, so kubelet’s pulls send the tokens of pods to ${registry}`, mend)];
}

function certified(toml: Settings, file: string): readonly Finding[] {
  const entries = [toml, ...toml.at('host').entries.map(([, entry]) => entry)];
  if (entries.every((entry) => entry.at('client').value === undefined)) return [];
  const what = 'presents the certificate of the node, so the mirror asks no pod for its token';
  return [wrong(file, what, 'delete its lines client; pods are then known by their own service accounts')];
}
