/**
 * Every wait and every bound of the core that is a matter of judgement, with its reason. How many entries a memory holds
 * stands beside that memory.
 */

import type { JsonBounds } from '../platform/json-bounds.ts';

/** Those of the upstreams, which tests shorten. Times in milliseconds. */
export interface CoreLimits {
  readonly connect: number;
  /** Until the headers of one answer are there. */
  readonly headers: number;
  /**
   * For which an idle connection is kept at most, whatever the host offers. Firewalls and load balancers drop idle connections
   * after 30 s and more, some of them silently, and then only a time-out would tell.
   */
  readonly idle: number;
  /** Between two pieces of a body. */
  readonly bodyIdle: number;
  /** Requests that wait for a connection to one origin. Further ones are refused at once. */
  readonly waiting: number;
  /** For a token, from the asking to the end of the answer. */
  readonly token: number;
  /** For a whole question: waiting for a connection, connecting, the token, redirects, and the answer if it is small. */
  readonly question: number;
  /** For one whose answer only confirms what is cached: nobody waits longer for what they could have at once. */
  readonly revalidation: number;
  /** How often one fill goes on where it broke off. */
  readonly resumptions: number;
  /** The pause before the first of them; each further one is twice as long. */
  readonly resumeAfter: number;
  /** Repositories for which a host fails within `breakWithin`, without a success in between, before it is left alone. */
  readonly breakAfter: number;
  readonly breakWithin: number;
  /** The pause before a host that is left alone is tried again; each further one is twice as long. */
  readonly probeAfter: number;
  readonly probeAtMost: number;
  /** Between two looks at whether something must go from the cache. */
  readonly sweepEvery: number;
  /** From the publication of content to the next such look. */
  readonly sweepAfterGrowth: number;
  /** Between two tries to write to a cache that could not be written. */
  readonly probeCacheEvery: number;
}

export const STANDARD_LIMITS: CoreLimits = {
  connect: 5_000,
  headers: 10_000,
  idle: 15_000,
  bodyIdle: 30_000,
  // Four for each of the 64 connections: at a second each, the last of them is answered well within `question`.
  waiting: 256,
  token: 5_000,
  // Well below the 30 s after which containerd gives up on response headers, for a HEAD and the GET that follows it.
  question: 13_000,
  revalidation: 3_000,
  resumptions: 5,
  // 0.25, 0.5, 1, 2 and 4 s: about as long as a client waits for the next byte without a complaint.
  resumeAfter: 250,
  breakAfter: 5,
  breakWithin: 10_000,
  probeAfter: 5_000,
  probeAtMost: 30_000,
  sweepEvery: 60_000,
  sweepAfterGrowth: 1_000,
  probeCacheEvery: 5_000,
};

/** For how long a refusal of an upstream is repeated without asking again. Milliseconds. */
export const REFUSED_FOR = {
  notFound: 30_000,
  unauthorized: 60_000,
  /** Docker Hub locks an account out after too many failed logins. */
  credential: 60_000,
  /** Without a `Retry-After`: the abuse limit of Docker Hub names as much. */
  limited: 60_000,
  /** A longer `Retry-After` is asked about again: a window can end early, and a paid account has none. */
  limitedAtMost: 300_000,
};

/** The part of its life for which a token of an upstream is used: clocks differ, and requests take their time. */
export const TOKEN_USED_FOR = 0.8;

/** Milliseconds for which it is believed that a repository is public. */
export const VISIBILITY_FRESH_FOR = 10 * 60_000;

/**
 * Milliseconds for which that is believed of content which the mirror has not seen in the repository: a cold pull takes no
 * longer for its questions, and what is pushed after a repository has become private is not fetched by an older answer.
 */
export const VISIBILITY_RECENT_FOR = 60_000;

/** Milliseconds after which it is asked whether the upstream has deleted content, if that matters. */
export const DELETED_RECHECK_AFTER = 24 * 60 * 60_000;

/** Milliseconds for which a gateway may give an answer again without asking, at most. */
export const ANSWER_HOLDS_FOR = 5 * 60_000;

/** Bytes of a manifest, which is the bound of Docker Hub too, and of any other JSON document. */
export const MAX_DOCUMENT_SIZE = 4 * 1024 * 1024;

/** Pages of one list of referrers that are followed. Registries send 50 to 100 on a page. */
export const MAX_REFERRERS_PAGES = 100;

/**
 * The structure of a document from an upstream. Within these bounds a parser needs less than 20 ms for any 4 MiB, and a
 * manifest may still have 7,500 layers, or a list 200,000 tags.
 */
export const DOCUMENT_BOUNDS: JsonBounds = { depth: 32, nodes: 30_000, elements: 200_000 };

/** Milliseconds after which a fill that broke off is not gone on with. */
export const KEEP_PARTIAL_FOR = 24 * 60 * 60_000;

/** Milliseconds for which a pull goes on though nothing is asked for: large layers take their time. */
export const PULL_REMEMBERED_FOR = 30 * 60_000;

/** When and how far the cache is emptied. */
export const EVICTION = {
  /** Parts of `cache.maxSize`: above the first, content goes until no more than the second is left. */
  highWater: 0.95,
  lowWater: 0.85,
  /** Milliseconds for which nobody takes what was just used, as long as the rest is large enough to make room. */
  inUseFor: 60_000,
  /** Milliseconds for which nobody takes it in any case: whoever was sent to a file opens it within this time. */
  readWithin: 5_000,
};

/** What `cache.maxSize: auto` leaves free for everything else on the disk, such as the state and the audit log. */
export const DISK_RESERVE = {
  /** Of the disk. */
  part: 0.1,
  /** Bytes. */
  most: 20 * 2 ** 30,
};

/** How the downloads of blobs from one upstream are shared. */
export const FILL_PLACES = {
  /** At a time; the other connections to an origin, of 64, are for manifests and tokens. */
  places: 48,
  /** One caller leaves some to the others, also where these come later. */
  placesPerCaller: 32,
  /** That wait for a place. */
  queued: 2_000,
  queuedPerCaller: 500,
  /** Milliseconds between two looks for a download that nobody reads, while others wait. */
  watchEvery: 500,
  /** Milliseconds for which a download that has just begun is not called abandoned: its reader is on the way. */
  abandonedAfter: 1_000,
};

/** Parts of a blob that are asked of the upstream beside its fill. */
export const BLOB_PART = {
  /** Bytes of one: the table of contents of a lazily pulled layer has some 100 KiB. It is held in memory. */
  most: 2 * 1024 * 1024,
  /** Bytes that the fill lacks up to it: a nearer part comes with the fill in a moment. */
  beyond: 1024 * 1024,
  /** At a time; others wait for the fill. */
  atATime: 8,
};

/** What no fill takes: with less, the index, the state and the log that may be on the same disk could not be written. */
export const DISK_FLOOR = {
  /** Of the disk. */
  part: 0.01,
  /** Bytes. */
  most: 64 * 2 ** 20,
};

/** How fast content is compared with its digest in the background. */
export const SCRUB = {
  /** Bytes a second: about 80 GiB a day, at a rate that nobody notices. */
  pace: 1024 * 1024,
  /** After an unclean stop, until all is checked that was there: what a power cut did should not wait for a day. */
  urgentPace: 64 * 1024 * 1024,
  /** Milliseconds. */
  recheckAfter: 30 * 24 * 60 * 60_000,
  /** Milliseconds to the next look when there is nothing to check. */
  idle: 60_000,
  /** Milliseconds to the next look when content could not be read or set aside. */
  afterFailure: 60_000,
};

/** Questions of gateways that the core works on at a time, fills not among them: what eight gateways ask at the most. */
export const MAX_QUESTIONS = 4_096;
