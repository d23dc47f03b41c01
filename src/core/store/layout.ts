import { algorithmOf, type Digest, hexOf, parseDigest } from '../../registry/digest.ts';

/**
 * The paths under the cache's directory. No other file of the source names them; `FILE` in
 * `protocol/core-api.ts` lets a gateway open those in `blobs` and `partial` only:
 *
 *     VERSION                        the version of this layout
 *     blobs/sha256/ab/abcdef…        verified content, both manifests and blobs
 *     partial/sha256-abcdef…         fills under way, or interrupted and to be resumed
 *     aside/sha256-abcdef…           wrong content in quarantine
 *     uploads/sha256-abcdef…         content that the object store of a cluster does not have yet
 *     RUNNING                        exists while a core runs
 *     index.db                       links, tags, visibility, sizes, last uses
 *     budget.db                      the pulls that count toward quotas and limits
 *
 * All paths are relative, because the gateway may see the directory under another path than the core.
 */
export const CACHE_VERSION = '1';
export const VERSION_FILE = 'VERSION';
export const INDEX_FILE = 'index.db';
export const BUDGET_FILE = 'budget.db';
/**
 * This file exists while a core runs. A core that finds it at its start knows that the last one did not end
 * properly.
 */
export const RUNNING_FILE = 'RUNNING';
export const PARTIAL_DIRECTORY = 'partial';
/** The file that is written and removed to learn whether the disk can be written. */
export const PROBE_FILE = `${PARTIAL_DIRECTORY}/probe`;
const QUARANTINE_DIRECTORY = 'aside';
export const BLOB_DIRECTORIES = ['blobs/sha256', 'blobs/sha512'];
/** The directories that exist from the start. Each comes after its parent. */
export const DIRECTORIES = [PARTIAL_DIRECTORY, QUARANTINE_DIRECTORY, 'blobs', ...BLOB_DIRECTORIES];

/** The first two digits make 256 directories, so that none grows too large to be listed. */
export function blobDirectory(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest).slice(0, 2)}`;
}

export function blobFile(digest: Digest): string {
  return `${blobDirectory(digest)}/${hexOf(digest)}`;
}

/** Returns the digest after which a file below `BLOB_DIRECTORIES` is named. */
export function digestOfBlob(algorithm: string, name: string): Digest | undefined {
  return parseDigest(`${algorithm}:${name}`);
}

export function quarantineFile(digest: Digest): string {
  return `${QUARANTINE_DIRECTORY}/${algorithmOf(digest)}-${hexOf(digest)}`;
}

export const PENDING_DIRECTORY = 'uploads';

/** The file that records that content is to be put into the object store. */
export function pendingFile(digest: Digest): string {
  return `${PENDING_DIRECTORY}/${algorithmOf(digest)}-${hexOf(digest)}`;
}

export function digestOfPending(name: string): Digest | undefined {
  return parseDigest(name.replace('-', ':'));
}

export function partialFile(digest: Digest): string {
  return `${PARTIAL_DIRECTORY}/${algorithmOf(digest)}-${hexOf(digest)}`;
}
