/**
 * The time-outs and bounds of the core that are a matter of judgement, with their reasons. The sizes of most
 * memory caches are beside them.
 */

import type { JsonBounds } from '../platform/json-bounds.ts';

/** The limits for upstreams, which tests shorten. All times are in milliseconds. */
export interface CoreLimits {
  readonly connect: number;
  /** The time until the headers of one response arrive. */
  readonly headers: number;
  /**
   * The longest life of an idle connection, whatever the host offers. Firewalls and load balancers drop idle
   * connections after 30 s or more, some of them silently, and then only a time-out would reveal it.
   */
  readonly idle: number;
  /** The time between two pieces of a body. */
  readonly bodyIdle: number;
  /**
   * The most requests that wait for their turn at one upstream, or for a connection to one origin. Further
   * ones are refused at once.
   */
  readonly waiting: number;
  /** The time for a token, from the request to the end of the response. */
  readonly token: number;
  /**
   * The time for a whole request: waiting for a connection, connecting, the token, redirects, and the
   * response if it is small.
   */
  readonly question: number;
  /**
   * The time for a request that only confirms cached content: nobody waits longer for what the cache could
   * answer at once.
   */
  readonly revalidation: number;
  /** The number of times that one fill is resumed. */
  readonly resumptions: number;
  /** The pause before the first resumption. Each further one is twice as long. */
  readonly resumeAfter: number;
  /**
   * The number of repositories for which a host must fail within `breakWithin`, without a success in between,
   * before it is left alone.
   */
  readonly breakAfter: number;
  readonly breakWithin: number;
  /** The pause before a host that is left alone is tried again; each further one is twice as long. */
  readonly probeAfter: number;
  readonly probeAtMost: number;
  /** The time between two sweeps of the cache. */
  readonly sweepEvery: number;
  /** The time from the publication of content to the next sweep. */
  readonly sweepAfterGrowth: number;
  /** The time between two attempts to write to a cache that could not be written. */
  readonly probeCacheEvery: number;
  /** The bytes that one subject may download into the cache within the window of `SUBJECT_DOWNLOADS`. */
  readonly subjectDownloads: number;
}

export const STANDARD_LIMITS: CoreLimits = {
  connect: 5_000,
  headers: 10_000,
  idle: 15_000,
  bodyIdle: 30_000,
  // The queue has four places for each of the 64 connections: at a second each, the last request is answered
  // well within `question`.
  waiting: 256,
  token: 5_000,
  // The time is well below the 30 s after which containerd gives up waiting for response headers, because a
  // pull sends a HEAD and then a GET.
  question: 13_000,
  revalidation: 3_000,
  resumptions: 5,
  // The pauses are 0.25, 0.5, 1, 2 and 4 s: about as long as a client waits for the next byte without a
  // complaint.
  resumeAfter: 250,
  breakAfter: 5,
  breakWithin: 10_000,
  probeAfter: 5_000,
  probeAtMost: 30_000,
  sweepEvery: 60_000,
  sweepAfterGrowth: 1_000,
  probeCacheEvery: 5_000,
  // It is far beyond what a build farm pulls that is one subject, and keeps a mistake in it from replacing
  // everybody's content all day.
  subjectDownloads: 4 * 2 ** 40,
};

/** The milliseconds for which an upstream's refusal is repeated without asking again. */
export const REFUSED_FOR = {
  notFound: 30_000,
  unauthorized: 60_000,
  /** Docker Hub locks an account out after too many failed logins. */
  credential: 60_000,
  /** Used if there is no `Retry-After`. The abuse limit of Docker Hub names this time. */
  limited: 60_000,
  /**
   * The longest time for which `Retry-After` counts. Then the upstream is asked again, because a window can
   * end early, and a paid account has none.
   */
  limitedAtMost: 300_000,
};

/** The seconds after which a refused client is told to ask again, for each reason. */
export const CLIENT_RETRY_AFTER = {
  /** The database or the object store of the cluster does not answer. */
  storeAway: 5,
  /** The most uploads or manifests that are allowed at a time are being received. */
  tooManyPushes: 5,
};

/** The milliseconds for which one of several accounts is used before they are compared again. */
export const ACCOUNT_KEPT_FOR = 60_000;

/** The milliseconds for a credential helper. It is well below `question`, whose time includes it. */
export const HELPER_DEADLINE = 8_000;

/**
 * The part of its lifetime for which an upstream's token is used, because clocks differ and requests take
 * time.
 */
export const TOKEN_USED_FOR = 0.8;

/** The milliseconds for which a repository is believed to be public. */
export const VISIBILITY_FRESH_FOR = 10 * 60_000;

/**
 * Milliseconds for which a repository counts as public for content that the mirror has not seen in it. The
 * time is long enough for a cold pull, and so short that an old answer does not give away content that was
 * pushed after the repository became private.
 */
export const VISIBILITY_RECENT_FOR = 60_000;

/** Milliseconds after which the core asks whether the upstream has deleted content, if that matters. */
export const DELETED_RECHECK_AFTER = 24 * 60 * 60_000;

/** The most milliseconds for which a gateway may use an answer again without asking. */
export const ANSWER_MAX_AGE = 5 * 60_000;

/**
 * The milliseconds after which the confirmation of a tag that has not moved is written. After a restart its
 * last confirmation may seem earlier by this much.
 */
export const TAG_WRITTEN_AFTER = 60 * 60_000;

/** The most tags whose latest confirmation is kept in memory. */
export const MAX_CONFIRMED_TAGS = 50_000;

/** The most bytes of a manifest, which is also Docker Hub's limit, and of any other JSON document. */
export const MAX_DOCUMENT_SIZE = 4 * 1024 * 1024;

/** The most pages of one list of referrers that are read. Registries send 50 to 100 referrers on a page. */
export const MAX_REFERRERS_PAGES = 100;

/**
 * The bounds on the structure of a document from an upstream. Within these bounds a parser needs less than 20
 * ms for any 4 MiB, and a manifest may still have 7,500 layers, or a list 200,000 tags.
 */
export const DOCUMENT_BOUNDS: JsonBounds = { depth: 32, nodes: 30_000, elements: 200_000 };

/** The milliseconds after which an interrupted fill is no longer resumed. */
export const KEEP_PARTIAL_FOR = 24 * 60 * 60_000;

/**
 * The milliseconds without a request after which a pull or a push counts as ended. Large layers take their
 * time.
 */
export const RECENT_PULL_TTL = 30 * 60_000;

/** The rules by which eviction empties the cache. */
export const EVICTION = {
  /** Two parts of `cache.maxSize`: if the cache exceeds the first, content is evicted down to the second. */
  highWater: 0.95,
  lowWater: 0.85,
  /**
   * Milliseconds for which content that was just used is spared, as long as evicting the rest makes enough
   * room.
   */
  inUseFor: 60_000,
  /**
   * Milliseconds for which content is spared in any case: a reader who was sent to a file opens it within
   * this time.
   */
  readWithin: 5_000,
};

/**
 * The space that `cache.maxSize: auto` leaves free for other files on the disk, such as the state and the
 * audit log.
 */
export const DISK_RESERVE = {
  /** The fraction of the disk. */
  part: 0.1,
  /** The upper limit in bytes. */
  most: 20 * 2 ** 30,
};

/** The rules by which subjects share the connections to one upstream. */
export const CONNECTIONS = {
  /** They suffice for a busy morning, and stay below abuse limits per address. */
  most: 64,
  /** The questions of one subject that are under way at a time. The rest of them wait for their turns. */
  each: 8,
  /** The part of the queue that one subject may fill. The rest is left to others. */
  waitingEach: 0.5,
};

/** The rules by which subjects share the downloads of blobs from one upstream. */
export const FILL_PLACES = {
  /** The downloads at a time. The rest of the 64 connections to an origin are for manifests and tokens. */
  places: 48,
  /** The downloads of one subject at a time. The rest is left to subjects that may come later. */
  placesPerSubject: 32,
  /** The requests that may wait for a place, in total and of one subject. */
  queued: 2_000,
  queuedPerSubject: 500,
  /** Milliseconds between two searches for a download that nobody reads, while others wait. */
  watchEvery: 500,
  /**
   * Milliseconds before a new download can count as abandoned, because its reader may still be on the way.
   */
  abandonedAfter: 1_000,
};

/** The rules by which the bytes that a subject downloads into the cache are counted. */
export const SUBJECT_DOWNLOADS = {
  windowMs: 24 * 60 * 60_000,
  /** The most subjects that are counted. */
  subjects: 20_000,
};

/** The way in which a limit on the bandwidth of an upstream is kept. */
export const BANDWIDTH_TURNS = {
  /** The least milliseconds between two turns, so that many downloads do not set many timers. */
  tick: 20,
  /** The milliseconds for which unused bandwidth can be made up for. A busy process wakes late. */
  burst: 250,
  /** The bytes of one turn. The slower the upstream may be, the fewer, so that all downloads go on. */
  leastTurn: 16 * 1024,
  mostTurn: 512 * 1024,
};

/** Limits on parts of a blob that are fetched from the upstream while its fill runs. */
export const BLOB_PART = {
  /**
   * The largest part in bytes. The table of contents of a lazily pulled layer has some 100 KiB. A part is
   * held in memory.
   */
  most: 2 * 1024 * 1024,
  /**
   * The least distance in bytes between the fill and the part: the fill itself soon reaches a nearer part.
   */
  beyond: 1024 * 1024,
  /** The parts that are fetched at a time. Further ones wait for the fill. */
  atATime: 8,
};

/**
 * The space that no fill takes: with less, the index, the state and the log on the same disk could not be
 * written.
 */
export const DISK_FLOOR = {
  /** The fraction of the disk. */
  part: 0.01,
  /** The upper limit in bytes. */
  most: 64 * 2 ** 20,
};

/** The rates at which content is compared with its digest in the background. */
export const SCRUB = {
  /** The rate in bytes per second. It is about 80 GiB a day, which nobody notices. */
  pace: 1024 * 1024,
  /**
   * The rate in bytes per second after an unclean stop, until all content from before is checked, because
   * damage by a power cut should not stay for a day.
   */
  urgentPace: 64 * 1024 * 1024,
  /** The time in milliseconds. */
  recheckAfter: 30 * 24 * 60 * 60_000,
  /** Milliseconds to the next look when there is nothing to check. */
  idle: 60_000,
  /** Milliseconds to the next check after content could not be read or quarantined. */
  afterFailure: 60_000,
};

/**
 * The most requests of gateways that the core works on at a time, not counting fills. Eight gateways send no
 * more than that.
 */
export const MAX_QUESTIONS = 4_096;

/** The rules by which subjects share a quota, see `core/budget`. */
export const BUDGET = {
  /** The length of a window in milliseconds if no quota is known. It is the window of Docker Hub. */
  windowMs: 6 * 60 * 60_000,
  /** The part of a quota below which it is short, so that subjects have to share it. */
  shortBelow: 0.5,
  /** The part of a window for which a subject that has asked for a pull counts as one that wants more. */
  wantedFor: 1 / 6,
  /** The most subjects that are counted each by itself. */
  subjects: 100_000,
  /** Milliseconds from a change of the counts until it is written. */
  writeAfter: 1_000,
  /** Milliseconds between two searches for counts that their window has left behind. */
  forgetEvery: 60_000,
};

/** The most bytes of a request about the cache or about what is hosted, which names a few things. */
export const OPERATION_SIZE = 4 * 1024;
