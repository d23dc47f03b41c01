/**
 * The paths under the directory of the hosted repositories. The blobs have the paths of `blobFile`, as in the
 * cache (`core/store/layout.ts`):
 *
 *     VERSION                        the version of this layout
 *     hosted.db                      repositories, manifests, tags and their history, links to blobs
 *     blobs/sha256/ab/abcdef…        verified blobs
 *     uploads/0123…                  uploads under way
 *     import/                        what `hubgate cluster import` reads, while it runs
 *
 * All paths are relative, because the gateway may see the directory under another path than the core.
 */
export const HOSTED_VERSION = '1';
export const HOSTED_VERSION_FILE = 'VERSION';
export const HOSTED_DATABASE_FILE = 'hosted.db';
export const UPLOADS_DIRECTORY = 'uploads';
export const IMPORT_DIRECTORY = 'import';

export function uploadFile(id: string): string {
  return `${UPLOADS_DIRECTORY}/${id}`;
}
