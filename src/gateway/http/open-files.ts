import { OPEN_FILES } from '../limits.ts';
/**
 * Divides the files and connections that a gateway may have open, so that clients never use up all of them.
 */
export interface OpenFiles {
  /** The connections of clients. */
  readonly connections: number;
  /** The cached blobs that stay open for the next reader. */
  readonly blobs: number;
}

/** `limit` is the number of files and connections that this process may have open. */
export function shareOpenFiles(limit: number): OpenFiles {
  const blobs = Math.min(OPEN_FILES.blobs, Math.floor(limit / 8));
  const connections = Math.floor((limit - OPEN_FILES.reserve - blobs) / OPEN_FILES.forConnection);
  return { blobs, connections: Math.min(OPEN_FILES.connections, connections) };
}
