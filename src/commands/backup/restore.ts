import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { isErrno } from '../../platform/reason.ts';
import { printLeftOut } from './backup.ts';
import { type BackupManifest, readBackupManifest } from './backup-manifest.ts';
import { restoreHome } from './restore-home.ts';
import { damagesOf } from './verify-backup.ts';

interface RestoreOptions {
  readonly home: string;
  readonly json: boolean;
}

/** The directory that a file system may have from the beginning. */
const OF_THE_DISK = 'lost+found';

/** Verifies all of a backup, and copies it into a home that is absent or empty. The backup is not changed. */
export async function restore(
  directory: string,
  options: RestoreOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const backup = path.resolve(directory);
  const { home } = pathsIn(options.home);
  const manifest = await readBackupManifest(backup);
  const refusal = typeof manifest === 'string' ? manifest : await whyNotInto(home);
  if (typeof manifest === 'string' || refusal !== undefined) return refuse([refusal ?? ''], terminal);
  const damages = await damagesOf(backup, manifest);
  if (damages.length > 0)
    return refuse([...damages, `${backup} is damaged, and nothing was restored`], terminal);
  const outcome = await restoreHome({ backup, manifest, home, environment, terminal });
  if (outcome !== 'restored') return outcome;
  if (options.json) printJson(terminal.stdout, { home, ...summary(manifest) });
  else printRestored(home, manifest, terminal);
  return 0;
}

function refuse(reasons: readonly string[], { stderr }: Terminal): ExitCode {
  for (const reason of reasons) printLine(stderr, `hubgate: ${reason}`);
  return 1;
}

/** A home in which a mirror runs, or has run, is not empty. */
async function whyNotInto(home: string): Promise<string | undefined> {
  try {
    const [first] = (await readdir(home)).filter((name) => name !== OF_THE_DISK);
    if (first === undefined) return undefined;
    return `${home} is not empty (it has ${first}), and nothing is overwritten; stop the mirror, and name a new home with --home`;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function summary({ files, createdAt, version, leftOut }: BackupManifest) {
  return { files: files.length, createdAt, version, leftOut };
}

function printRestored(home: string, manifest: BackupManifest, { stdout }: Terminal): void {
  const { files, createdAt, version, leftOut } = summary(manifest);
  printLine(stdout, `files: ${files}, as of ${createdAt}, made by Hubgate ${version}; restored into ${home}`);
  printLeftOut('not restored, because the backup does not have it:', leftOut, stdout);
  printLine(stdout, `next: hubgate check --home ${home}`);
}
