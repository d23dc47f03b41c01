import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '../../platform/reason.ts';
import {
  BACKUP_MANIFEST,
  type BackedUpFile,
  type BackupManifest,
  HOME_PART,
  HOSTED_PART,
  hasDigest,
} from './backup-manifest.ts';

/** Returns everything that is in a backup and should not be, and everything that is missing or different. */
export async function damagesOf(directory: string, manifest: BackupManifest): Promise<readonly string[]> {
  const damages: string[] = [];
  const wanted = new Map(manifest.files.map((file) => [file.path, file]));
  const known = new Set([HOME_PART, HOSTED_PART, ...manifest.directories.map((one) => one.path)]);
  const found = new Set<string>();
  const visit = async (below: string): Promise<void> => {
    for (const entry of await readdir(path.join(directory, below), { withFileTypes: true })) {
      const at = path.join(below, entry.name);
      const file = wanted.get(at);
      if (entry.isDirectory() && known.has(at)) await visit(at);
      else if (entry.isFile() && file !== undefined) {
        found.add(at);
        damages.push(...(await damagesOfFile(directory, file)));
      } else if (at !== BACKUP_MANIFEST) damages.push(`${at} is not named by ${BACKUP_MANIFEST}`);
    }
  };
  await visit('');
  for (const file of wanted.keys()) if (!found.has(file)) damages.push(`${file} is missing`);
  return damages;
}

async function damagesOfFile(directory: string, { path: at, size, digest }: BackedUpFile): Promise<string[]> {
  const file = path.join(directory, at);
  try {
    const stats = await lstat(file);
    if (stats.size !== size) return [`${at} has ${stats.size} bytes instead of ${size}`];
    return (await hasDigest(file, digest)) ? [] : [`${at} is not what was backed up: its digest differs`];
  } catch (error) {
    return [`${at} cannot be read: ${reasonOf(error)}`];
  }
}
