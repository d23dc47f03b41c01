import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensurePackages } from './packages.ts';
import { type Result, type RunningProcess, run, startProcess } from './process.ts';

const PACKAGES: Readonly<Record<string, string>> = {
  dockerd: 'docker.io',
  skopeo: 'skopeo',
  podman: 'podman',
  curl: 'curl',
  containerd: 'containerd',
  'docker-registry': 'docker-registry',
  busybox: 'busybox-static',
};

/** Installs the real clients and servers that are missing from Debian. */
export async function installClients(): Promise<void> {
  await ensurePackages(PACKAGES);
  // Debian starts the registry as a service; the suite starts its own.
  await run('systemctl', ['stop', 'docker-registry']);
}

export interface Docker extends AsyncDisposable {
  /** The docker CLI with this daemon and a configuration directory of the suite. */
  (args: readonly string[], options?: { readonly stdin?: string }): Promise<Result>;
}

/** The environment in which a daemon runs. */
export interface DaemonEnvironment {
  /** The command that enters a namespace, before the daemon's command. */
  readonly entrance?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The daemon.json; absent: the machine's. */
  readonly configFile?: string;
}

/**
 * Starts a dockerd for the suite, with its own data, sockets and process id, without network rules, and with
 * `mirror` for Docker Hub, or else the one of its `daemon.json`.
 */
export async function startDocker(
  directory: string,
  mirror?: string,
  { entrance = [], env: more = {}, configFile }: DaemonEnvironment = {},
): Promise<Docker> {
  const at = (name: string) => path.join(directory, name);
  await mkdir(at('cli'), { recursive: true });
  // Without any login in it, docker would keep those of the test in a keychain, where the machine has one.
  await writeFile(at('cli/config.json'), JSON.stringify({ auths: { 'unused.invalid': {} } }));
  const host = `unix://${at('docker.sock')}`;
  const env = { DOCKER_CONFIG: at('cli'), DOCKER_HOST: host };
  const [command = '', ...args] = [...entrance, 'dockerd'];
  const daemon = await startProcess(
    command,
    [
      ...args,
      '--storage-driver=vfs',
      '--iptables=false',
      '--ip6tables=false',
      '--bridge=none',
      `--data-root=${at('data')}`,
      `--exec-root=${at('exec')}`,
      `--pidfile=${at('docker.pid')}`,
      `--host=${host}`,
      ...(mirror === undefined ? [] : [`--registry-mirror=${mirror}`]),
      ...(configFile === undefined ? [] : [`--config-file=${configFile}`]),
    ],
    {
      env: more,
      ready: () =>
        access(at('docker.sock')).then(
          () => true,
          () => false,
        ),
    },
  );
  const docker = (args: readonly string[], options: { readonly stdin?: string } = {}) =>
    run('docker', args, { ...options, env });
  return Object.assign(docker, { [Symbol.asyncDispose]: () => daemon.stop() });
}

export interface Containerd extends AsyncDisposable {
  ctr(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Result>;
}

/** Starts a containerd for the suite. Its hosts directory trusts the mirror's CA. */
export async function startContainerd(directory: string): Promise<Containerd> {
  const at = (name: string) => path.join(directory, name);
  await mkdir(directory, { recursive: true });
  await writeFile(
    at('config.toml'),
    `version = 2
root = "${at('root')}"
state = "${at('state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${at('containerd.sock')}"
`,
  );
  const daemon: RunningProcess = await startProcess('containerd', ['--config', at('config.toml')], {
    ready: () =>
      access(at('containerd.sock')).then(
        () => true,
        () => false,
      ),
  });
  return {
    ctr: (args, env = {}) => run('ctr', ['--address', at('containerd.sock'), ...args], { env }),
    [Symbol.asyncDispose]: () => daemon.stop(),
  };
}
