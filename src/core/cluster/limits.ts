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

/** The contents that a node removes after one look at what was purged. */
export const PURGES_AT_ONCE = 500;

/** The milliseconds between two exchanges of counts. */
export const SHARE_COUNTS_EVERY = 1_000;

/** The days for which what a node has counted can matter: the longest window of a limit or a quota. */
export const KEEP_COUNTS_FOR = 32;

/** The uploads to the object store. The times are in milliseconds. */
export const UPLOADS = {
  /** Each can hold two parts of 16 MiB in memory. */
  atOnce: 2,
  retryEvery: 2_000,
  longestPause: 60_000,
};

/** The times, in milliseconds, of the periodic tasks for the object store. */
export interface ObjectDutyLimits {
  /** The time between two removals of unused objects. */
  readonly every: number;
  /** The time for which an object stays that nothing names any more, because a node may still read it. */
  readonly keepRemoved: number;
  /** The time between two searches for objects that no row names, and their age. */
  readonly sweepEvery: number;
  readonly orphansAfter: number;
  /** The time between two messages of uses, and that for which the same use is not told again. */
  readonly reportUsesEvery: number;
  readonly repeatUsesAfter: number;
}

const HOUR = 60 * 60_000;

export const OBJECT_DUTY: ObjectDutyLimits = {
  every: 10 * 60_000,
  keepRemoved: HOUR,
  sweepEvery: 24 * HOUR,
  orphansAfter: 24 * HOUR,
  reportUsesEvery: 60_000,
  repeatUsesAfter: 6 * HOUR,
};
