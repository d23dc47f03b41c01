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

/** Installs from Debian what of the real clients and servers is not there. */
export async function installClients(): Promise<void> {
  await ensurePackages(PACKAGES);
  // Debian starts the registry as a service; the suite starts its own.
  await run('systemctl', ['stop', 'docker-registry']);
}

export interface Docker extends AsyncDisposable {
  /** The docker CLI, against this daemon, with a configuration directory of the suite's. */
  (args: readonly string[], options?: { readonly stdin?: string }): Promise<Result>;
}

/** Where a daemon runs. */
export interface Surroundings {
  /** What enters a namespace, before the daemon's command. */
  readonly entrance?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The daemon.json; absent: the machine's. */
  readonly configFile?: string;
}

/**
 * A dockerd of the suite's own: its own data, sockets and process id, no network rules, and `mirror` for Docker Hub; without it
 * the one of its `daemon.json`.
 */
export async function startDocker(
  directory: string,
  mirror?: string,
  { entrance = [], env: more = {}, configFile }: Surroundings = {},
): Promise<Docker> {
  const at = (name: string) => path.join(directory, name);
  await mkdir(at('cli'), { recursive: true });
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

/** A containerd of the suite's own. Its hosts directory trusts the mirror's CA. */
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
