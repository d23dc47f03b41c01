import { algorithmOf, type Digest, hexOf } from '../../registry/digest.ts';

/**
 * Where things lie under the cache's directory. This is the only file that knows:
 *
 *     VERSION                        of this layout
 *     blobs/sha256/ab/abcdef…        verified content, manifests and blobs alike
 *     partial/sha256-abcdef…         fills under way, or broken off and to be gone on with
 *     index.db                       links, tags, visibility
 *
 * All paths are relative, because the gateway may see the directory under another path than the core.
 */
export const VERSION = '1';
export const VERSION_FILE = 'VERSION';
export const INDEX_FILE = 'index.db';
export const PARTIAL_DIRECTORY = 'partial';
export const BLOB_DIRECTORIES = ['blobs', 'blobs/sha256', 'blobs/sha512'];

/** The first two digits make 256 directories, so that none grows too large to be listed. */
export function blobDirectory(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest).slice(0, 2)}`;
}

export function blobFile(digest: Digest): string {
  return `${blobDirectory(digest)}/${hexOf(digest)}`;
}

export function partialFile(digest: Digest): string {
  return `${PARTIAL_DIRECTORY}/${algorithmOf(digest)}-${hexOf(digest)}`;
}
