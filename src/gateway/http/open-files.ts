/** How the files and connections that a gateway may have open are shared out, so that clients never use up all of them. */
export interface OpenFiles {
  /** Connections of clients. */
  readonly connections: number;
  /** Cached blobs that stay open for the next reader. */
  readonly blobs: number;
}

const MOST_CONNECTIONS = 10_000;
const MOST_BLOBS = 256;
/** The audit log, sockets of the other roles, Node's own; some thirty are open when nobody asks anything. */
const RESERVE = 64;
/** A connection itself, the file that is read for it, and a connection to the core or auth. */
const FOR_A_CONNECTION = 3;

/** `limit`: how many this process may have open. */
export function shareOpenFiles(limit: number): OpenFiles {
  const blobs = Math.min(MOST_BLOBS, Math.floor(limit / 8));
  const connections = Math.floor((limit - RESERVE - blobs) / FOR_A_CONNECTION);
  return { blobs, connections: Math.min(MOST_CONNECTIONS, connections) };
}
