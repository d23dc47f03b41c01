/**
 * Divides the files and connections that a gateway may have open, so that clients never use up all of them.
 */
export interface OpenFiles {
  /** The connections of clients. */
  readonly connections: number;
  /** The cached blobs that stay open for the next reader. */
  readonly blobs: number;
}

const MOST_CONNECTIONS = 10_000;
const MOST_BLOBS = 256;
/**
 * These are for the audit log, the sockets of the other roles and Node itself. Some thirty are open in an
 * idle gateway.
 */
const RESERVE = 64;
/**
 * Each client may need its connection, the file that is read for it, and a connection to the core or auth.
 */
const FOR_A_CONNECTION = 3;

/** `limit` is the number of files and connections that this process may have open. */
export function shareOpenFiles(limit: number): OpenFiles {
  const blobs = Math.min(MOST_BLOBS, Math.floor(limit / 8));
  const connections = Math.floor((limit - RESERVE - blobs) / FOR_A_CONNECTION);
  return { blobs, connections: Math.min(MOST_CONNECTIONS, connections) };
}
