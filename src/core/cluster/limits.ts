/** The largest frame that a node accepts from another one, in bytes. */
export const MAX_FRAME = 16 * 2 ** 20;

/** The bytes that a node reads at once for another one. */
export const FRAME_SIZE = 256 * 1024;

/** The milliseconds after which a node that waits for bytes says that it is alive. */
export const ALIVE_EVERY = 500;

/** The most answers that a node gives to other nodes at the same time. */
export const MOST_PEER_ANSWERS = 500;

/** The days for which the database keeps a manifest that no node reads from there. */
export const KEEP_MANIFESTS_FOR = 30;

/** The milliseconds between two removals of such manifests. */
export const SWEEP_MANIFESTS_EVERY = 60 * 60_000;

/** The milliseconds between two exchanges of counts. */
export const SHARE_COUNTS_EVERY = 1_000;

/** The days for which what a node has counted can matter: the longest window of a limit or a quota. */
export const KEEP_COUNTS_FOR = 32;
