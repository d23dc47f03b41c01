import assert from 'node:assert/strict';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunningProcess, startProcess } from '../../e2e/support/process.ts';
import { type Machine, type PrintedKit, pathWith } from './machine.ts';
import { binariesOf } from './programs.ts';

/** A daemon on a machine, and the environment in which its clients find it. */
export interface Daemon extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  readonly programs: readonly string[];
}

/** Returns the lines of a kit that are indented below this heading. */
function linesBelow({ notes }: PrintedKit, heading: string): string {
  const begin = notes.merge.findIndex((line) => line.endsWith(heading)) + 1;
  assert.notEqual(begin, 0, `the kit does not say "${heading}"`);
  const length = notes.merge.slice(begin).findIndex((line) => !line.startsWith('  '));
  return notes.merge.slice(begin, length === -1 ? undefined : begin + length).join('\n');
}

/** Starts containerd 2.4 with its CRI, configured as the kit says. */
export async function startContainerdWith(machine: Machine, kit: PrintedKit): Promise<Daemon> {
  const registries = linesBelow(kit, 'containerd 2.x (version = 3):');
  return startContainerd(machine, `${containerdConfig(machine)}${registries}\n`);
}

/** How the containerd of a machine is configured before anybody has a mirror. */
export function containerdConfig(machine: Machine): string {
  const at = (name: string) => path.join(machine.root, 'c', name);
  const lines = [
    'version = 3',
    `root = "${at('root')}"`,
    `state = "${at('state')}"`,
    'disabled_plugins = ["io.containerd.nri.v1.nri"]',
    '[grpc]',
    `  address = "${at('containerd.sock')}"`,
    '[plugins."io.containerd.cri.v1.images"]',
    '  snapshotter = "native"',
    '[[plugins."io.containerd.transfer.v1.local".unpack_config]]',
    '  platform = "linux/amd64"',
    '  snapshotter = "native"',
  ];
  return `${lines.join('\n')}\n`;
}

export async function startContainerd(machine: Machine, config: string): Promise<Daemon> {
  const at = (name: string) => path.join(machine.root, 'c', name);
  await mkdir(at(''));
  const socket = at('containerd.sock');
  await writeFile(at('config.toml'), config);
  const programs = [binariesOf('containerd'), binariesOf('crictl')];
  const daemon = await startOn(machine, programs, ['containerd', '--config', at('config.toml')], socket);
  const endpoint = `unix://${socket}`;
  return {
    env: {
      CONTAINERD_ADDRESS: socket,
      CONTAINERD_SNAPSHOTTER: 'native',
      CONTAINER_RUNTIME_ENDPOINT: endpoint,
      IMAGE_SERVICE_ENDPOINT: endpoint,
    },
    programs,
    [Symbol.asyncDispose]: () => daemon.stop(),
  };
}

/** Starts a daemon that serves when its socket is there. */
async function startOn(
  { entrance, env }: Machine,
  programs: readonly string[],
  command: readonly string[],
  socket: string,
  more: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  const [enter = '', ...into] = [...entrance, ...command];
  return startProcess(enter, into, {
    env: { ...env, PATH: pathWith(programs), ...more },
    ready: () =>
      access(socket).then(
        () => true,
        () => false,
      ),
  });
}

/** dockerd 29 with either of its stores, and Debian's dockerd, which has the classic one. */
export type Dockerd = 'containerd store' | 'classic store' | 'of Debian';

const SETTINGS: Readonly<Record<Dockerd, object>> = {
  'containerd store': { 'storage-driver': 'native' },
  'classic store': { 'storage-driver': 'vfs', features: { 'containerd-snapshotter': false } },
  'of Debian': { 'storage-driver': 'vfs' },
};

/** Starts dockerd with the `daemon.json` of the machine, to which the store is added. */
export async function startDockerd(machine: Machine, which: Dockerd): Promise<Daemon> {
  // The directory is short because its sockets may have no more than 107 characters.
  const at = (name: string) => path.join(machine.root, 'd', name);
  await mkdir(at(''));
  const settings = path.join(machine.root, 'etc/docker/daemon.json');
  const merged = { ...JSON.parse(await readFile(settings, 'utf8')), ...SETTINGS[which] };
  await writeFile(settings, JSON.stringify(merged));
  const socket = at('docker.sock');
  const flags = [
    ...['--bridge=none', '--iptables=false', '--ip6tables=false'],
    ...[`--data-root=${at('data')}`, `--exec-root=${at('exec')}`, `--pidfile=${at('docker.pid')}`],
    `--host=unix://${socket}`,
  ];
  const programs = which === 'of Debian' ? [] : [binariesOf('dockerd'), binariesOf('containerd')];
  // Debian's docker CLI is older than dockerd 29 expects.
  const env = { DOCKER_MIN_API_VERSION: '1.24' };
  const daemon = await startOn(machine, programs, ['dockerd', ...flags], socket, env);
  return {
    env: { DOCKER_HOST: `unix://${socket}` },
    programs: [],
    [Symbol.asyncDispose]: () => daemon.stop(),
  };
}

/** Starts a separate BuildKit, configured by the file of its kit. */
export async function startBuildkitd(machine: Machine): Promise<Daemon> {
  const at = (name: string) => path.join(machine.root, 'b', name);
  await mkdir(at(''));
  const socket = at('buildkitd.sock');
  const flags = [
    ...['--config', '/etc/buildkit/buildkitd.toml', '--root', at('root'), '--addr', `unix://${socket}`],
    ...['--containerd-worker=false', '--oci-worker=true', '--oci-worker-snapshotter=native'],
    '--oci-worker-net=host',
  ];
  const programs = [binariesOf('buildkit')];
  const daemon = await startOn(machine, programs, ['buildkitd', ...flags], socket);
  return { env: { BUILDKIT_HOST: `unix://${socket}` }, programs, [Symbol.asyncDispose]: () => daemon.stop() };
}
