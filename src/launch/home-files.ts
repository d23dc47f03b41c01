import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { directoryOf } from '../access/load-policy.ts';
import type { Config } from '../config/config.ts';
import { type HomePaths, ROLES, type Role } from '../config/home.ts';
import { filesOfLogins } from '../config/login.ts';
import { INDEX_FILE } from '../core/store/layout.ts';
import type { Fault } from '../platform/fault.ts';
import { trustedIds, untrustedFault } from '../platform/file-owner.ts';
import { whyTooLong } from '../platform/ipc/unix-socket.ts';
import { namedSecretsOf, secretFilesOf } from './secret-files.ts';

/** The directory of a home in which a restore under way has its files. */
export const RESTORING = '.restoring';

/** The files to examine, and the purpose. */
export interface FilesScope {
  /** Only the files of this role; undefined for all roles. */
  readonly role: Role | undefined;
  /** True at a start, when the directories in `run/` belong to this process. */
  readonly isStart: boolean;
}

/**
 * Returns why this user cannot use this home: socket paths that are too long, files of other users, and files
 * that others may write.
 */
export async function examineFiles(
  config: Config,
  paths: HomePaths,
  scope: FilesScope,
): Promise<readonly Fault[]> {
  return [
    ...(await halfRestored(paths)),
    ...longSockets(config, paths),
    ...(await inaccessible(config, paths, scope)),
    ...(await untrusted(config, paths, scope)),
  ];
}

/** A start would make what is missing, with another admin and the policy of a fresh install. */
async function halfRestored({ home }: HomePaths): Promise<Fault[]> {
  const source = path.join(home, RESTORING);
  if ((await stat(source).catch(() => undefined)) === undefined) return [];
  const message = 'a restore into this home has not ended; remove all that is in the home, and restore again';
  return [{ source, message }];
}

function longSockets({ coreUrl }: Config, { authSocket, coreSocket, accountSocket }: HomePaths): Fault[] {
  return [authSocket, accountSocket, ...(coreUrl === undefined ? [coreSocket] : [])].flatMap((socket) => {
    const message = whyTooLong(socket);
    return message === undefined ? [] : [{ source: socket, message }];
  });
}

/**
 * Examines the files and directories that roles write, and the secret files that auth reads, if they exist.
 */
async function inaccessible(
  { cache, log }: Config,
  paths: HomePaths,
  { role }: FilesScope,
): Promise<Fault[]> {
  const own: Readonly<Record<Role, readonly string[]>> = {
    core: [paths.runtime.core, cache.directory, path.join(cache.directory, INDEX_FILE)],
    auth: [paths.runtime.auth, path.dirname(paths.authState)],
    account: [paths.runtime.account],
    gateway: [paths.runtime.gateway, path.dirname(log.audit), log.audit],
  };
  const files = ROLES.filter((one) => role === undefined || role === one).flatMap((one) => own[one]);
  // A mounted secret is read-only.
  const secrets = role === undefined || role === 'auth' ? secretFilesOf('auth', paths) : [];
  const found = await Promise.all([
    ...[...new Set(files)].map((file) => inaccessibleFault(file, paths, 'read and write')),
    ...secrets.map((file) => inaccessibleFault(file, paths, 'read')),
  ]);
  return found.filter((fault) => fault !== undefined);
}

/** Reports only files of another user: a full or read-only disk does not prevent a start. */
async function inaccessibleFault(
  file: string,
  { home }: HomePaths,
  need: 'read' | 'read and write',
): Promise<Fault | undefined> {
  const mode = need === 'read' ? constants.R_OK : constants.R_OK | constants.W_OK;
  const error = await access(file, mode).catch((why: NodeJS.ErrnoException) => why);
  if (error === undefined || error.code !== 'EACCES') return undefined;
  const stats = await stat(file).catch(() => undefined);
  // The directory that contains it is examined too.
  if (stats === undefined) return undefined;
  const own = process.geteuid?.();
  if (stats.uid === own) return undefined;
  const message = `belongs to user ${stats.uid}, and user ${own} may not ${need} it; run this as user ${stats.uid}, or as root type: chown -R ${own} '${home}'`;
  return { source: file, message };
}

async function untrusted(config: Config, paths: HomePaths, { role, isStart }: FilesScope): Promise<Fault[]> {
  const wanted = (one: Role) => role === undefined || role === one;
  const [state, certificates] = [path.dirname(paths.authState), path.dirname(paths.ca.certificate)];
  // Root examines homes whose roles run as users of their own.
  const trusted = await trustedIds([paths.home, ...(process.geteuid?.() === 0 ? [state, certificates] : [])]);
  const configuration = path.dirname(paths.policy);
  const files = [
    configuration,
    path.join(configuration, 'hubgate.yaml'),
    ...(wanted('auth') ? [paths.users, ...(await policyFiles(paths))] : []),
    ...authorityFiles(config, paths, wanted),
  ];
  // A person who can write into these can replace keys.
  const ofKeys = [...(wanted('auth') ? [state] : []), ...(wanted('gateway') ? [certificates] : [])];
  const found = await Promise.all([
    ...files.map((file) => untrustedFault(file, trusted)),
    // A directory that root has made is a mount, such as an emptyDir of Kubernetes, which everybody in the
    // container may write.
    ...(isStart ? [...runtimes(paths, role), ...ofKeys] : []).map((file) =>
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

/** Returns the files of authorities. A person who can write one can pass for whom it vouches for. */
function authorityFiles(
  { tls, upstreams, egress, logins }: Config,
  { ca }: HomePaths,
  wanted: (role: Role) => boolean,
): string[] {
  const ofLogins = filesOfLogins(logins).flatMap(({ file, kind }) => (kind === 'ca' ? [file] : []));
  const files = [
    ...(wanted('gateway') ? [tls.clientCa ?? ca.certificate] : []),
    ...(wanted('core') ? upstreams.map((upstream) => upstream.ca) : []),
    ...(wanted('auth') ? ofLogins : []),
    ...(wanted('core') || wanted('auth') ? [egress.ca] : []),
  ];
  return files.filter((file) => file !== undefined);
}

function runtimes(paths: HomePaths, role: Role | undefined): string[] {
  return role === undefined
    ? [paths.supervisorRuntime, ...Object.values(paths.runtime)]
    : [paths.runtime[role]];
}

/** Returns the files of keys and passwords. The code that reads secret files judges their modes. */
function keysOf(config: Config, paths: HomePaths, role: Role | undefined): string[] {
  return [
    ...secretFilesOf(role ?? 'all', paths).filter((file) => file !== paths.users),
    ...namedSecretsOf(role ?? 'all', config),
  ];
}
