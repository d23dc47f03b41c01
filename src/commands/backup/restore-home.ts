import { chmod, chown, copyFile, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { restoreHosted } from '../../core/hosted/restore.ts';
import { RESTORING } from '../../launch/home-files.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { syncDirectory } from '../../platform/atomic-file.ts';
import { diskFailure } from '../../platform/disk-failure.ts';
import { createLogger } from '../../platform/log.ts';
import { makeDirectory } from '../../platform/make-directory.ts';
import { type BackupManifest, HOME_PART, HOSTED_PART } from './backup-manifest.ts';

interface Restoration {
  readonly backup: string;
  readonly manifest: BackupManifest;
  readonly home: string;
  readonly environment: Environment;
  readonly terminal: Terminal;
}

/**
 * Copies a verified backup into an empty home. The copy gets its names at the end, because a start in half of
 * a home would make what is missing: another admin, another CA and the policy of a fresh install.
 */
export async function restoreHome(restoration: Restoration): Promise<ExitCode | 'restored'> {
  const { home, terminal } = restoration;
  const made = await makeDirectory(home, 0o750);
  const staging = path.join(home, RESTORING);
  try {
    await mkdir(staging, { mode: 0o700 });
    const outcome = await fillStaging(restoration, { staging, isNew: made !== undefined });
    if (outcome === 'restored') await giveNames(staging, home);
    else await rm(made ?? staging, { recursive: true });
    return outcome;
  } catch (error) {
    await rm(made ?? staging, { recursive: true, force: true });
    const why = diskFailure(path.join(home, 'config'), error);
    if (why === undefined) throw error;
    printLine(terminal.stderr, `hubgate: ${home} cannot be written: ${why}`);
    return 1;
  }
}

interface Staging {
  readonly staging: string;
  /** True if the restoration has made the home. */
  readonly isNew: boolean;
}

async function fillStaging(
  restoration: Restoration,
  { staging, isNew }: Staging,
): Promise<ExitCode | 'restored'> {
  const { backup, manifest, home } = restoration;
  const ownerOf = await ownersIn(home, manifest, isNew);
  if (isNew) await own(home, ownerOf(manifest.owner));
  for (const file of manifest.files.filter(isOfHome)) {
    const target = path.join(staging, path.relative(HOME_PART, file.path));
    await mkdir(path.dirname(target), { recursive: true, mode: 0o750 });
    await copyWhole(path.join(backup, file.path), target);
  }
  for (const { path: at } of manifest.directories.filter(isOfHome))
    await mkdir(path.join(staging, path.relative(HOME_PART, at)), { recursive: true, mode: 0o750 });
  const hosted = await restoreContent(restoration, staging);
  if (typeof hosted === 'number') return hosted;
  for (const entry of [...manifest.files, ...manifest.directories]) {
    const [part, root] = isOfHome(entry) ? [HOME_PART, staging] : [HOSTED_PART, hosted];
    const target = path.join(root, path.relative(part, entry.path));
    await chmod(target, entry.mode);
    await own(target, ownerOf(entry));
  }
  for (const { path: at } of manifest.directories.filter(isOfHome))
    await syncDirectory(path.join(staging, path.relative(HOME_PART, at)));
  return 'restored';
}

function isOfHome({ path: at }: { readonly path: string }): boolean {
  return at.startsWith(`${HOME_PART}/`);
}

async function copyWhole(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  await chmod(to, 0o600);
  await using handle = await open(to, 'r+');
  await handle.sync();
}

/**
 * Restores what is hosted into the directory that the restored configuration names. Returns that directory,
 * or the exit code after printing why it cannot be done.
 */
async function restoreContent(
  { backup, manifest, environment, terminal }: Restoration,
  staging: string,
): Promise<string | ExitCode> {
  const fallback = path.join(staging, HOSTED_PART);
  if (manifest.files.every(isOfHome)) return fallback;
  const config: Config | undefined = await loadOrPrint(pathsIn(staging), environment, terminal);
  if (config === undefined) return 2;
  const directory = config.hosted?.directory ?? fallback;
  const log = createLogger('restore', config.log);
  const outcome = await restoreHosted(path.join(backup, HOSTED_PART), directory, log);
  if (outcome.kind === 'refused') {
    printLine(terminal.stderr, `hubgate: ${outcome.why}`);
    return 1;
  }
  for (const { repository, reference, problem } of outcome.verified.damages)
    printLine(terminal.stderr, `hubgate: ${repository} ${reference}: ${problem} (a warning)`);
  return directory;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The service's user may have another number on this machine. So what belonged to the owner of the home
 * belongs to the owner of this home now, if somebody has made it before.
 */
async function ownersIn(
  home: string,
  { owner }: BackupManifest,
  isNew: boolean,
): Promise<(recorded: Owner) => Owner> {
  const now = isNew ? owner : await stat(home);
  return ({ uid, gid }) => ({
    uid: uid === owner.uid ? now.uid : uid,
    gid: gid === owner.gid ? now.gid : gid,
  });
}

/** Only root may give files away. */
async function own(file: string, { uid, gid }: Owner): Promise<void> {
  if (process.geteuid?.() === 0) await chown(file, uid, gid);
}

async function giveNames(staging: string, home: string): Promise<void> {
  const names = await readdir(staging);
  // A start needs the configuration first, so it comes last.
  for (const name of names.toSorted((one, other) => Number(one === 'config') - Number(other === 'config')))
    await rename(path.join(staging, name), path.join(home, name));
  await rmdir(staging);
  await syncDirectory(home);
}
