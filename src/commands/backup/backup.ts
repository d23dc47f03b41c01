import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { syncDirectory, writeFileAtomically } from '../../platform/atomic-file.ts';
import { systemClock } from '../../platform/clock.ts';
import { diskFailure } from '../../platform/disk-failure.ts';
import { isErrno } from '../../platform/reason.ts';
import { formatSize } from '../../platform/size.ts';
import { type Digest, sha256Of } from '../../registry/digest.ts';
import { BACKUP_FORMAT, BACKUP_MANIFEST, type BackupManifest, type LeftOut } from './backup-manifest.ts';
import { copyHome } from './copy-home.ts';
import { copyHosted } from './copy-hosted.ts';

interface BackupOptions {
  readonly home: string;
  readonly json: boolean;
}

interface Backup {
  readonly manifest: BackupManifest;
  /** The digest of the manifest, which names the digests of all other files. */
  readonly digest: Digest;
  /** The number of hosted blobs that share their bytes with the originals. */
  readonly linked: number;
}

/** Copies all of a home that must not be lost into a new directory, while the mirror runs. */
export async function backUp(
  directory: string,
  options: BackupOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const target = path.resolve(directory);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const why = (await whyNoHome(paths)) ?? (await whyNoTarget(target, paths));
  const backup = why ?? (await makeBackup(config, paths, target));
  if (typeof backup === 'string') {
    printLine(terminal.stderr, `hubgate: ${backup}`);
    return 1;
  }
  printBackup(backup, target, options, terminal);
  return 0;
}

/** A typing mistake in `--home` must not lead to an empty backup. */
async function whyNoHome({ home, users, authState }: HomePaths): Promise<string | undefined> {
  for (const file of [users, authState]) if ((await kindOf(file)) !== 'absent') return undefined;
  return `${home} is no home: it has neither config/users.yaml nor state/auth.db; name it with --home`;
}

async function whyNoTarget(target: string, { home }: HomePaths): Promise<string | undefined> {
  const parts = ['config', 'certs', 'state', 'data', 'run', 'hosted'];
  const within = parts.find((part) => !path.relative(path.join(home, part), target).startsWith('..'));
  if (within !== undefined) return `${target} is in ${within}/ of the home; name a directory elsewhere`;
  const kind = await kindOf(target);
  if (kind === 'used') return `${target} exists, and nothing is overwritten; name a new directory`;
  if (kind === 'mounted')
    return `${target} is where a disk is mounted; name a new directory below it, such as ${target}/1`;
  return undefined;
}

async function kindOf(file: string): Promise<'absent' | 'empty' | 'mounted' | 'used'> {
  try {
    const stats = await stat(file);
    if (!stats.isDirectory() || (await readdir(file)).length > 0) return 'used';
    return stats.dev === (await stat(path.dirname(file))).dev ? 'empty' : 'mounted';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'absent';
    throw error;
  }
}

/**
 * Makes the backup under another name, and gives it its own name at the end. So a backup is complete, or it
 * does not exist. Returns the reason if the disk cannot take it, or if what is hosted cannot be copied.
 */
async function makeBackup(config: Config, paths: HomePaths, target: string): Promise<Backup | string> {
  await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
  const incomplete = `${target}.incomplete-${randomBytes(4).toString('hex')}`;
  await mkdir(incomplete, { mode: 0o700 });
  try {
    const backup = await fill(config, paths, incomplete);
    if (typeof backup !== 'string') {
      await rename(incomplete, target);
      await syncDirectory(path.dirname(target));
      return backup;
    }
    await rm(incomplete, { recursive: true });
    return backup;
  } catch (error) {
    const why = diskFailure(path.join(incomplete, BACKUP_MANIFEST), error);
    await rm(incomplete, { recursive: true, force: true });
    if (why === undefined) throw error;
    return `the backup cannot be written to ${path.dirname(target)}: ${why}`;
  }
}

async function fill(config: Config, paths: HomePaths, directory: string): Promise<Backup | string> {
  const { uid, gid } = await stat(paths.home);
  const home = await copyHome(config, paths, directory);
  const hosted = await copyHosted(config, paths, directory);
  if (typeof hosted === 'string') return hosted;
  const manifest: BackupManifest = {
    format: BACKUP_FORMAT,
    version: packageJson.version,
    createdAt: new Date(systemClock()).toISOString(),
    home: paths.home,
    owner: { uid, gid },
    directories: [...home.directories, ...hosted.directories],
    files: [...home.files, ...hosted.files],
    leftOut: [...home.leftOut, ...ofTheCluster(config)],
  };
  const text = `${JSON.stringify(manifest, undefined, 1)}\n`;
  await writeFileAtomically(path.join(directory, BACKUP_MANIFEST), text, 0o600);
  return { manifest, digest: sha256Of(Buffer.from(text)), linked: hosted.linked };
}

/** The URL of a database contains its password. */
function ofTheCluster({ cluster, hosted }: Config): LeftOut[] {
  if (cluster === undefined) return [];
  const { host, pathname } = new URL(cluster.database);
  const why =
    'the tokens, logins, certificates, users and policy of the cluster; copy it with pg_dump, or its tokens, logins and certificates into this home with: hubgate cluster export';
  const left = [{ what: `the database ${host}${pathname}`, why }];
  if (hosted === undefined || cluster.objects === undefined) return left;
  const { bucket, prefix } = cluster.objects;
  const objects = `${bucket}/${prefix === '' ? '' : `${prefix}/`}hosted/`;
  return [
    ...left,
    {
      what: `the objects ${objects}`,
      why: 'the blobs of the hosted repositories; copy them after the database, with the tools of the object store',
    },
  ];
}

function printBackup(
  { manifest, digest, linked }: Backup,
  directory: string,
  { json }: BackupOptions,
  { stdout }: Terminal,
): void {
  const { files, leftOut, createdAt, version } = manifest;
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (json) {
    const counts = { files: files.length, bytes, linked };
    printJson(stdout, { directory, createdAt, version, digest, ...counts, leftOut });
    return;
  }
  printLine(stdout, `files: ${files.length}, ${formatSize(bytes)}; the backup is in ${directory}`);
  printLine(stdout, `its ${BACKUP_MANIFEST} has the digest ${digest}`);
  if (linked > 0)
    printLine(
      stdout,
      `${linked} hosted blobs share their bytes with the originals, because they are on the same disk; copy the directory to another one`,
    );
  printLeftOut('not in the backup:', leftOut, stdout);
}

/** Prints what a backup does not contain. */
export function printLeftOut(heading: string, leftOut: readonly LeftOut[], stdout: Terminal['stdout']): void {
  if (leftOut.length === 0) return;
  printLine(stdout, heading);
  for (const { what, why } of leftOut) printLine(stdout, `  ${what}: ${why}`);
}
