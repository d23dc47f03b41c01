/** All bounds of hosted repositories that are a matter of judgement, with their reasons. */

import type { QueueLimits } from '../../platform/scheduling/fair-queue.ts';

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;

/** The limits on pushes, which tests shorten. All times are in milliseconds. */
export interface UploadLimits {
  /** The uploads of one subject that are open at a time. Clients push three to six blobs at once. */
  readonly openPerSubject: number;
  /** The uploads of all subjects together that are open at a time. */
  readonly open: number;
  /**
   * The time for which an upload beyond these waits for a place. Docker ends a push at once when it is
   * refused with 429, so a short rush must not lead to that.
   */
  readonly waitForPlace: number;
  /** The time after which an upload that nobody touches is removed. */
  readonly idle: number;
  /** The time after which an upload is removed in any case. */
  readonly life: number;
  /** The largest blob in bytes. */
  readonly maxBlob: number;
  /** The most chunks of one upload. */
  readonly chunks: number;
  /** The time between two searches for abandoned uploads. */
  readonly sweepEvery: number;
  /** The fraction of the disk of the hosted repositories that uploads leave free. */
  readonly diskReserve: number;
  /** The bytes of an upload between two looks at the free space of the disk. */
  readonly lookAtDiskEvery: number;
  /**
   * The most bytes of the quota that an upload of unknown length reserves ahead. The database of a cluster is
   * asked once for so many.
   */
  readonly reserveAhead: number;
  /** The most tags of a repository. */
  readonly maxTags: number;
  /** The most manifests that refer to one subject. */
  readonly maxReferrers: number;
}

export const UPLOAD_LIMITS: UploadLimits = {
  openPerSubject: 16,
  open: 256,
  waitForPlace: 30_000,
  idle: HOUR,
  life: DAY,
  maxBlob: 32 * 2 ** 30,
  chunks: 4096,
  sweepEvery: 60_000,
  diskReserve: 0.05,
  lookAtDiskEvery: 64 * 1024 * 1024,
  reserveAhead: 64 * 1024 * 1024,
  maxTags: 100_000,
  maxReferrers: 10_000,
};

/**
 * The bounds on the manifests that are being received, each of which is in memory. All together take at most
 * 64 MiB. A subject with slow connections leaves places to others.
 */
export const MANIFEST_PLACES: QueueLimits = {
  concurrent: 16,
  concurrentEach: 6,
  waiting: 512,
  waitingEach: 128,
};

/** The milliseconds for which a manifest waits for a place. */
export const MANIFEST_WAIT = 30_000;

/** The most tags on one page of a list. Within this number the policy decides about each tag quickly. */
export const MAX_TAGS_PAGE = 10_000;

/** The most bytes of one page of a list of referrers, which is the most that a client reads. */
export const MAX_REFERRERS_PAGE = 4 * 1024 * 1024;
/** The bytes of a referrer on a page without its annotations: its digest, its size and two media types. */
export const REFERRER_SIZE = 1024;

/** The rules by which unreferenced content is removed. All times are in milliseconds. */
export const COLLECTION = {
  /**
   * The lease: content that was just published, mounted or found is kept for this time, because its manifest
   * is still to come.
   */
  lease: DAY,
  /**
   * The time for which a tag that was moved or deleted can be restored, and a deleted subject keeps its
   * referrers.
   */
  undo: 7 * DAY,
  /** The pause between two looks at the queue. */
  every: 60_000,
  /** The candidates that are read at a time. */
  batch: 100,
  /** The pause between two passes of the retention rules. */
  retainEvery: HOUR,
  /** The time after which another pull of a manifest is noted as its last use. */
  noteUseAfter: DAY,
  /** The age after which a change of a tag is forgotten, unless it is the last one of a tag that exists. */
  keepHistory: 90 * DAY,
  /** The removals that one gateway fetches at a time for the audit log. */
  fetchedRemovals: 100,
  /**
   * The time after which removals that a gateway has fetched are given to another one, because it has ended.
   */
  refetchRemovals: 30_000,
  /** The most removals that wait for a gateway. */
  waitingRemovals: 10_000,
  /** The age after which a file that no row names is removed: a crash came between the row and the file. */
  orphanedAfter: 2 * DAY,
  /** The time between two comparisons of the files with the rows. */
  compareEvery: DAY,
};
