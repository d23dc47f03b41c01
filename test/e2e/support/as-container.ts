import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Service } from '../../support/compose-file.ts';
import type { Image } from './image.ts';

/** The files and directories on this machine that stand for what a service names. */
export interface Places {
  /** Volumes by name, and paths of the host as the file writes them. */
  readonly sources: Readonly<Record<string, string>>;
  readonly configs: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
}

/** The parts of the base image: what shells, `install` and Node's libraries need. */
const SYSTEM = ['bin', 'sbin', 'lib', 'lib64'];

/**
 * Converts a service of a compose file to a command line, because no container engine is part of the suite.
 * The command gives it the same image, mounts, user, capabilities, root file system and absence of a network,
 * by the kernel's own means. It runs `command`, or else the service's own command, in place of this very
 * process, so that signals reach it.
 */
export function asCommand(
  service: Service,
  image: Image,
  places: Places,
  command: readonly string[] = ownCommand(service, image),
): string[] {
  const [uid = '0', gid = '0'] = (service.user ?? '').split(':');
  const dropped = service.cap_drop.includes('ALL') ? ['-all'] : [];
  const bounding = [...dropped, ...service.cap_add.map((name) => `+${name.toLowerCase()}`)].join(',');
  const rights = [
    ...(bounding === '' ? [] : ['--bounding-set', bounding, '--inh-caps', '-all']),
    ...(service.security_opt.includes('no-new-privileges:true') ? ['--no-new-privs'] : []),
  ];
  const network = service.network_mode === 'none' ? ['--net'] : [];
  const groups = service.groups === undefined ? ['--clear-groups'] : ['--groups', service.groups];
  const users = ['--reuid', uid, '--regid', gid, ...groups];
  const within = ['env', '-i', '-C', '/hubgate', 'PATH=/usr/local/bin:/usr/bin:/bin', 'NODE_ENV=production'];
  const variables = Object.entries(service.environment).map(([name, value]) => `${name}=${value}`);
  return [
    ...['unshare', '--mount', ...network, 'sh', '-ec', mountScript(service, image.root, places), 'sh'],
    ...['setpriv', ...users, ...rights],
    ...[...within, ...variables, ...command],
  ];
}

function ownCommand(service: Service, image: Image): readonly string[] {
  const entrypoint =
    service.entrypoint.length > 0 ? service.entrypoint : JSON.parse(image.instruction('ENTRYPOINT'));
  return [...entrypoint, ...service.command.map((part) => part.replaceAll('$$', '$'))];
}

function mountScript(service: Service, root: string, { sources, configs, secrets }: Places): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const target = (at: string) => quoted(path.join(root, at));
  const bind = (source = 'nothing', at: string, readOnly: boolean) => [
    `if [ -d ${quoted(source)} ]; then mkdir -p ${target(at)}; else mkdir -p ${target(path.dirname(at))}; : >> ${target(at)}; fi`,
    `mount --bind ${quoted(source)} ${target(at)}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${target(at)}`] : []),
  ];
  return [
    'ulimit -c 0',
    `mount --bind ${quoted(root)} ${quoted(root)}`,
    ...SYSTEM.flatMap((name) => bind(`/usr/${name}`, `/usr/${name}`, true)),
    ...['/proc', '/dev'].flatMap((at) => bind(at, at, false)),
    ...service.mounts.flatMap(({ source, target, readOnly }) => bind(sources[source], target, readOnly)),
    ...service.configs.flatMap(({ source, target }) => bind(configs[source], target, true)),
    ...service.secrets.flatMap((name) => bind(secrets[name], `/run/secrets/${name}`, true)),
    ...[...service.tmpfs].flatMap(([at, options]) => [
      `mkdir -p ${target(at)}`,
      `mount -t tmpfs ${options === '' ? '' : `-o ${options}`} tmpfs ${target(at)}`,
    ]),
    ...(service.read_only ? [`mount -o remount,bind,ro ${quoted(root)}`] : []),
    `cd ${quoted(root)}`,
    `exec chroot . "$@"`,
  ].join('\n');
}

/**
 * Completes the image's root so that it can be entered: in its base image it has its own system, and here it
 * gets this machine's.
 */
export async function furnish(root: string): Promise<void> {
  for (const name of SYSTEM) await symlink(`usr/${name}`, path.join(root, name));
  await mkdir(path.join(root, 'etc'), { recursive: true });
  await writeFile(path.join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
}
