import { constants, copyFile, mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { stateOfPolicy } from '../access/load-policy.ts';
import type { ClusterConfig } from '../config/cluster.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { type HomePaths, inHome, ROLES, type Role } from '../config/home.ts';
import { ensureServerCertificate } from '../pki/local-ca.ts';
import { createFiles } from '../platform/atomic-file.ts';
import { systemClock } from '../platform/clock.ts';
import { isDiskFailure } from '../platform/disk-failure.ts';
import { makeDirectory } from '../platform/make-directory.ts';
import { ABSENT, stateOfFile } from '../platform/watched-files.ts';
import { ownCommand } from './own-command.ts';
import { isPairConfigured } from './server-certificate.ts';
import { printLine, type Terminal } from './terminal.ts';

export interface PreparedStart {
  /** The local CA's certificate, if that CA issued the server's. */
  readonly ca?: string;
  /** True if this start made a local CA for a node of a cluster, whose nodes need the same one. */
  readonly isNewCaOfNode?: boolean;
  /** The password of the user `admin`, if this start made that user. */
  readonly firstPassword?: string;
}

/** The policy of a fresh install. It is not read from a home's `config/`, which somebody may have edited. */
const FIRST_POLICY = path.join(import.meta.dirname, 'first-policy/access.yaml');
/** The schema that editors check the policy against. */
const POLICY_SCHEMA = 'access.schema.json';

export interface PrepareScope {
  /** The role whose part of the home is prepared; if it is absent, the whole home is. */
  readonly role?: Role;
  /** True if a user asked for the missing files; false if a start did. */
  readonly isAskedFor?: boolean;
}

/** Makes what is missing in a home, or in one role's part of it, and changes nothing that exists. */
export async function prepareStart(
  config: Config,
  paths: HomePaths,
  scope: PrepareScope = {},
): Promise<PreparedStart> {
  const { role } = scope;
  const wanted = (one: Role) => role === undefined || role === one;
  for (const one of ROLES.filter(wanted)) await mkdir(paths.runtime[one], { recursive: true, mode: 0o750 });
  if (wanted('core')) await makeCacheDirectory(config.cache.directory);
  if (wanted('auth') && config.cluster !== undefined) await fetchDocuments(config.cluster, paths);
  if (wanted('auth')) await preparePolicy(paths);
  const hadCa = await exists(paths.ca.certificate);
  const ca = wanted('gateway') ? await prepareGateway(config, paths, scope) : undefined;
  // The password comes last, so that no later failure can keep it from being printed.
  const firstPassword = wanted('auth') ? await prepareAuth(config, paths) : undefined;
  return {
    ...(ca !== undefined && { ca, isNewCaOfNode: !hadCa && config.cluster !== undefined }),
    ...(firstPassword !== undefined && { firstPassword }),
  };
}

/**
 * Brings the users and the policy of the other nodes here, so that this node makes no first ones of its own.
 */
async function fetchDocuments(cluster: ClusterConfig, paths: HomePaths): Promise<void> {
  if ((await exists(paths.users)) && (await stateOfPolicy(paths.policy)) !== '') return;
  const { fetchSharedFiles } = await import('../auth/fetch-shared-files.ts');
  await fetchSharedFiles(cluster.database, paths);
}

/** A cache that cannot be written stops no start: the core reports it, and tries again. */
async function makeCacheDirectory(directory: string): Promise<void> {
  try {
    await makeDirectory(directory, 0o750);
  } catch (error) {
    if (!isDiskFailure(error)) throw error;
  }
}

/**
 * Loads the code for hashing only if there is something to hash, because the supervisor that calls this runs
 * for a long time.
 */
async function prepareAuth({ passwords }: Config, paths: HomePaths): Promise<string | undefined> {
  const { ensureSigningKey } = await import('../auth/token/signing-key-file.ts');
  await ensureSigningKey(paths.signingKey);
  if (await exists(paths.users)) return undefined;
  const { hashPassword, randomPassword } = await import('../auth/identity/password.ts');
  const { setPassword } = await import('../auth/identity/users-file.ts');
  const password = randomPassword();
  await setPassword(paths.users, 'admin', await hashPassword(password, passwords));
  return password;
}

async function prepareGateway(
  config: Config,
  paths: HomePaths,
  scope: PrepareScope,
): Promise<string | undefined> {
  await mkdir(path.dirname(config.log.audit), { recursive: true, mode: 0o750 });
  return ensureServerCertificate({
    ca: paths.ca,
    server: config.tls,
    names: config.server.names,
    clock: systemClock,
    isConfigured: mustBeThere(config, paths, scope),
  });
}

/**
 * True if a missing pair is a mistake. It is one if the configuration names the pair, because a typing
 * mistake must not lead to another certificate. A user who asks for the missing files also means those in
 * `certs/`.
 */
function mustBeThere({ tls }: Config, paths: HomePaths, { isAskedFor = false }: PrepareScope): boolean {
  const isInCerts = [tls.certificate, tls.key].every((file) => inHome(file, paths).startsWith('certs/'));
  return isPairConfigured(tls, paths) && !(isAskedFor && isInCerts);
}

/**
 * Writes the first policy only in a fresh install. If there was a policy before, or if other files of one
 * exist, the default policy would allow what they did not.
 */
async function preparePolicy({ policy, lastPolicy }: HomePaths): Promise<void> {
  const isFresh = (await stateOfPolicy(policy)) === '' && !(await exists(lastPolicy));
  if (!isFresh) return;
  const directory = path.dirname(policy);
  await mkdir(directory, { recursive: true });
  await copyFile(FIRST_POLICY, policy, constants.COPYFILE_EXCL);
  const schema = path.join(directory, POLICY_SCHEMA);
  if (await exists(schema)) return;
  const { policySchema } = await import('../access/policy-json-schema.ts');
  await createFiles([{ file: schema, bytes: `${JSON.stringify(policySchema(), null, 2)}\n`, mode: 0o644 }]);
}

/** True unless the file is known to be absent: a file that cannot be seen is not overwritten. */
async function exists(file: string): Promise<boolean> {
  return (await stateOfFile(file)) !== ABSENT;
}

/** Prints what somebody has to know of a home that is new. */
export async function printFirst(
  { firstPassword, isNewCaOfNode = false }: PreparedStart,
  paths: HomePaths,
  environment: Environment,
  terminal: Terminal,
): Promise<void> {
  if (firstPassword !== undefined) await printFirstPassword(firstPassword, paths, environment, terminal);
  if (!isNewCaOfNode) return;
  printLine(
    terminal.stdout,
    'This node has made a local CA. All nodes of a cluster need the same one: copy certs/ of the first node into the home of each other node before it starts.',
  );
}

async function printFirstPassword(
  password: string,
  { home }: HomePaths,
  { PATH: searchPath, HUBGATE_HOME }: Environment,
  { stdout }: Terminal,
): Promise<void> {
  const user = () => userInfo().username;
  const usualHome = path.resolve(HUBGATE_HOME || '.');
  const command = await ownCommand({ searchPath, home, usualHome, user });
  printLine(stdout);
  printLine(stdout, `First start. The user admin has the password  ${password}`);
  printLine(stdout, `It is shown this once; to set another one: ${command} user passwd admin`);
}
