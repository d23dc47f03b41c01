import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import type { HomePaths } from '../../config/home.ts';
import { HOSTED_DATABASE_FILE } from '../../core/hosted/layout.ts';
import { isErrno } from '../../platform/reason.ts';
import { readRegularFile } from '../../platform/regular-file.ts';
import { type Digest, parseDigest, sha256Of } from '../../registry/digest.ts';
import { backUpByWhomeverHoldsIt } from '../hosted-backup.ts';
import { type BackedUpDirectory, type BackedUpFile, HOSTED_PART } from './backup-manifest.ts';
import { listTree } from './list-tree.ts';

interface CopiedHosted {
  readonly directories: readonly BackedUpDirectory[];
  readonly files: readonly BackedUpFile[];
  readonly blobs: number;
  readonly linked: number;
}

const NOTHING: CopiedHosted = { directories: [], files: [], blobs: 0, linked: 0 };
const MOST_BYTES = 2 ** 32;

/**
 * Copies what is hosted into `<target>/hosted`, if anything is: the running core does it, or this process if
 * none runs. Returns the reason if it is refused.
 */
export async function copyHosted(
  config: Config,
  paths: HomePaths,
  target: string,
): Promise<CopiedHosted | string> {
  // The hosted repositories of a cluster are in its database and its object store.
  if (config.hosted === undefined || config.cluster !== undefined) return NOTHING;
  const { directory } = config.hosted;
  const owner = await stat(path.join(directory, HOSTED_DATABASE_FILE)).catch(
    (error: NodeJS.ErrnoException) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    },
  );
  if (owner === undefined) return NOTHING;
  const copy = path.join(target, HOSTED_PART);
  await letOwnerWrite(copy, owner.uid, owner.gid);
  const outcome = await backUpByWhomeverHoldsIt(config, paths, copy);
  await chmod(target, 0o700);
  if (outcome.kind === 'refused') return outcome.why;
  const tree = await listTree(target, [HOSTED_PART]);
  const { uid, gid } = owner;
  const files: BackedUpFile[] = [];
  for (const { at, stats } of tree.files) {
    const digest = digestOfPath(at) ?? sha256Of(await readRegularFile(path.join(target, at), MOST_BYTES));
    files.push({ path: at, size: stats.size, digest, mode: stats.mode & 0o777, uid, gid });
  }
  const directories = tree.directories
    .filter(({ at }) => at !== HOSTED_PART)
    .map(({ at, stats }) => ({ path: at, mode: stats.mode & 0o777, uid, gid }));
  return { directories, files, blobs: outcome.blobs, linked: outcome.linked };
}

/** The core that writes the copy may be another user than the administrator who asked for it. */
async function letOwnerWrite(copy: string, uid: number, gid: number): Promise<void> {
  await mkdir(copy, { mode: 0o750 });
  if (process.geteuid?.() !== 0 || uid === 0) return;
  await chown(copy, uid, gid);
  await chmod(path.dirname(copy), 0o711);
}

/** Returns the digest in the path of a blob. A restore compares the bytes with it. */
function digestOfPath(at: string): Digest | undefined {
  const [, part, algorithm, , hex] = at.split('/');
  return part === 'blobs' ? parseDigest(`${algorithm}:${hex}`) : undefined;
}
