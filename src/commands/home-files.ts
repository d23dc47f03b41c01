import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { directoryOf } from '../access/load-policy.ts';
import type { Config } from '../config/config.ts';
import type { Fault } from '../platform/fault.ts';
import { trustedIds, untrustedFault } from '../platform/file-owner.ts';
import { whyTooLong } from '../platform/unix-socket.ts';
import { type HomePaths, ROLES, type Role } from './home.ts';
import { secretFilesOf } from './secret-files.ts';

/** Whose files are looked at, and what for. */
export interface FilesScope {
  /** Only this role's; undefined for all of them. */
  readonly role: Role | undefined;
  /** Are the directories in `run/` this process's own, as at a start? */
  readonly isStart: boolean;
}

/** Why this home cannot be used by this user: sockets that are too long, files of others, and files that others may write. */
export async function examineFiles(
  config: Config,
  paths: HomePaths,
  scope: FilesScope,
): Promise<readonly Fault[]> {
  return [
    ...longSockets(config, paths),
    ...(await inaccessible(config, paths, scope)),
    ...(await untrusted(config, paths, scope)),
  ];
}

function longSockets({ coreUrl }: Config, { authSocket, coreSocket }: HomePaths): Fault[] {
  return [authSocket, ...(coreUrl === undefined ? [coreSocket] : [])].flatMap((socket) => {
    const message = whyTooLong(socket);
    return message === undefined ? [] : [{ source: socket, message }];
  });
}

/** What roles write, where it exists. */
async function inaccessible(
  { cache, log }: Config,
  paths: HomePaths,
  { role }: FilesScope,
): Promise<Fault[]> {
  const own: Readonly<Record<Role, readonly string[]>> = {
    core: [paths.runtime.core, cache.directory, path.join(cache.directory, 'index.db')],
    auth: [paths.runtime.auth, path.dirname(paths.authState), ...secretFilesOf('auth', paths)],
    gateway: [paths.runtime.gateway, path.dirname(log.audit), log.audit],
  };
  const files = ROLES.filter((one) => role === undefined || role === one).flatMap((one) => own[one]);
  const found = await Promise.all([...new Set(files)].map((file) => inaccessibleFault(file, paths)));
  return found.filter((fault) => fault !== undefined);
}

/** Only what belongs to another user: a disk that is full or read-only is no reason not to start. */
async function inaccessibleFault(file: string, { home }: HomePaths): Promise<Fault | undefined> {
  const error = await access(file, constants.R_OK | constants.W_OK).catch(
    (why: NodeJS.ErrnoException) => why,
  );
  if (error === undefined || error.code !== 'EACCES') return undefined;
  const stats = await stat(file).catch(() => undefined);
  // It lies in a directory that is named too.
  if (stats === undefined) return undefined;
  const own = process.geteuid?.();
  if (stats.uid === own) return undefined;
  const message = `belongs to user ${stats.uid}, and user ${own} may not read and write it; run this as user ${stats.uid}, or as root type: chown -R ${own} '${home}'`;
  return { source: file, message };
}

async function untrusted(config: Config, paths: HomePaths, { role, isStart }: FilesScope): Promise<Fault[]> {
  const wanted = (one: Role) => role === undefined || role === one;
  const state = path.dirname(paths.authState);
  // Root looks at homes whose roles are users of their own.
  const trusted = await trustedIds([paths.home, ...(process.geteuid?.() === 0 ? [state] : [])]);
  const configuration = path.dirname(paths.policy);
  const files = [
    configuration,
    path.join(configuration, 'hubgate.yaml'),
    ...(wanted('auth') ? [paths.users, ...(await policyFiles(paths))] : []),
  ];
  const found = await Promise.all([
    ...files.map((file) => untrustedFault(file, trusted)),
    // One that root has made is a mount, as an emptyDir of Kubernetes, which everybody in the container may write.
    ...(isStart ? runtimes(paths, role) : []).map((file) =>
      untrustedFault(file, trusted, { ofRootIsGood: true }),
    ),
    ...(isStart ? keysOf(config, paths, role) : []).map((file) => untrustedFault(file, trusted)),
  ]);
  return found.filter((fault) => fault !== undefined);
}

async function policyFiles({ policy }: HomePaths): Promise<string[]> {
  const directory = directoryOf(policy);
  const names = await readdir(directory).catch(() => []);
  const more = names.filter((name) => name.endsWith('.yaml')).map((name) => path.join(directory, name));
  return [policy, directory, ...more];
}

function runtimes(paths: HomePaths, role: Role | undefined): string[] {
  return role === undefined
    ? [paths.supervisorRuntime, ...Object.values(paths.runtime)]
    : [paths.runtime[role]];
}

/** Keys and passwords; what their mode must not allow is judged where secret files are. */
function keysOf({ tls, upstreams }: Config, paths: HomePaths, role: Role | undefined): string[] {
  const passwords = upstreams.flatMap(({ credential }) =>
    credential !== undefined && 'passwordFile' in credential ? [credential.passwordFile] : [],
  );
  return [
    ...secretFilesOf(role ?? 'all', paths).filter((file) => file !== paths.users),
    ...(role === undefined || role === 'gateway' ? [tls.key] : []),
    ...(role === undefined || role === 'core' ? passwords : []),
  ];
}
