import { createReadStream } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { isAbsent, readRegularFile } from '../../platform/regular-file.ts';
import { type Digest, isDigest, matchesDigest, startHash } from '../../registry/digest.ts';

/**
 * The file that makes a directory a backup. It is written last, and it names every other file:
 *
 *     MANIFEST.json
 *     home/config/… home/certs/… home/state/…    the files of the home
 *     hosted/…                                    what `hubgate hosted backup` writes
 */
export const BACKUP_MANIFEST = 'MANIFEST.json';
export const HOME_PART = 'home';
export const HOSTED_PART = 'hosted';

export const BACKUP_FORMAT = 1;
/** The size of a manifest that names several million blobs. */
const MOST_BYTES = 2 ** 29;

/** A relative path below one of the two parts, which leads nowhere else. */
const BELOW = /^(?:home|hosted)(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/;
const PATH = z.string().regex(BELOW, 'a path below home or hosted');
/** The owner and the mode in the home. In the backup, all files belong to whoever made it. */
const PERMISSIONS = {
  mode: z.int().min(0).max(0o777),
  uid: z.int().nonnegative(),
  gid: z.int().nonnegative(),
};
const FILE = z.strictObject({
  path: PATH,
  size: z.int().nonnegative(),
  digest: z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'a digest'),
  ...PERMISSIONS,
});
const LEFT_OUT = z.strictObject({ what: z.string(), why: z.string() });
const MANIFEST = z.strictObject({
  format: z.literal(BACKUP_FORMAT),
  /** The version of Hubgate that made it. */
  version: z.string(),
  createdAt: z.iso.datetime(),
  home: z.string(),
  /** The owner of the home. */
  owner: z.strictObject({ uid: PERMISSIONS.uid, gid: PERMISSIONS.gid }),
  directories: z.array(z.strictObject({ path: PATH, ...PERMISSIONS })),
  files: z.array(FILE),
  leftOut: z.array(LEFT_OUT),
});

export type BackupManifest = Readonly<z.output<typeof MANIFEST>>;
export type BackedUpFile = Readonly<z.output<typeof FILE>>;
export type BackedUpDirectory = BackupManifest['directories'][number];
/** Something that is not in the backup, in words. */
export type LeftOut = Readonly<z.output<typeof LEFT_OUT>>;

/** Returns the manifest, or why the directory is no backup that this version can restore. */
export async function readBackupManifest(directory: string): Promise<BackupManifest | string> {
  const file = path.join(directory, BACKUP_MANIFEST);
  let text: Buffer;
  try {
    text = await readRegularFile(file, MOST_BYTES);
  } catch (error) {
    if (!(await isAbsent(file, error))) throw error;
    return `${directory} is not a complete backup: it has no ${BACKUP_MANIFEST}`;
  }
  const parsed = parseJson(text.toString('utf8'));
  const { data: known } = z.looseObject({ format: z.int(), version: z.string() }).safeParse(parsed);
  if (known !== undefined && known.format > BACKUP_FORMAT)
    return `${directory} was made by a newer Hubgate (${known.version}); restore it with that version`;
  const { data, error } = MANIFEST.safeParse(parsed);
  if (data !== undefined) return data;
  const [issue] = error.issues;
  return `${file} is damaged: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trimEnd();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True if the bytes of a file match its digest. */
export async function hasDigest(file: string, digest: Digest): Promise<boolean> {
  const hash = startHash(digest);
  for await (const chunk of createReadStream(file, { highWaterMark: 512 * 1024 })) hash.update(chunk);
  return matchesDigest(hash, digest);
}
