/**
 * The time-outs and bounds of a gateway that are a matter of judgement, with their reasons. Each gateway
 * counts for itself, so a mirror with four workers grants up to four times as much.
 */
import type { JsonBounds } from '../platform/json-bounds.ts';
import type { QueueLimits } from '../platform/scheduling/fair-queue.ts';
import { LONGEST_SILENCE } from '../protocol/auth-api.ts';
import type { PipelineLimits } from './http/pipeline.ts';

/** Time limits of a connection to the public listener, in milliseconds. */
export interface ConnectionTimes {
  readonly handshake: number;
  /** The time for the PROXY header of a balancer, which comes before the TLS handshake. */
  readonly proxyHeader: number;
  /** The time for the headers of a request. */
  readonly requestHeaders: number;
  /** The time between two bytes of a body, which may take as long as its bytes keep coming. */
  readonly bodyIdle: number;
  /** The least bytes of a body within a time. */
  readonly bodyFloor?: { readonly bytes: number; readonly within: number };
  /** The time for the whole body of a request to `/token`, and for a body that nobody reads any more. */
  readonly smallBody: number;
  /** The time between two requests. */
  readonly keepAlive: number;
  /**
   * The time without a received or sent byte while a request is in flight. A client that is silent for longer
   * has gone.
   */
  readonly inactivity: number;
  /** The time for running downloads after SIGTERM. */
  readonly drain: number;
  /** The time between two checks of the headers and the bodies. */
  readonly check: number;
}

export interface GatewayLimits {
  /** The requests that a client may send on a connection before an earlier one is answered. */
  readonly pipeline: PipelineLimits;
  /**
   * The requests in flight, from their headers to the last byte of their response. Further requests are
   * answered with 429.
   */
  readonly inFlight: { readonly ofAddress: number; readonly ofSubject: number };
  readonly times: ConnectionTimes;
  /**
   * The milliseconds for which auth’s last answer stays valid while auth is silent. After that nothing is
   * served, not even what anonymous may pull, because the policy comes from auth too and may have changed.
   */
  readonly authSilence: number;
  /**
   * The requests that the gateway sends to auth for clients. They are counted by address, because only auth's
   * answer names the subject.
   */
  readonly authQuestions: QueueLimits;
  /**
   * The requests that the gateway sends to the core for clients. They are counted by subject, or by address
   * for `anonymous`.
   */
  readonly coreQuestions: QueueLimits;
}

export const GATEWAY_LIMITS: GatewayLimits = {
  pipeline: {
    // No known registry client pipelines. With this many waiting requests, the connection is not read until
    // they are answered.
    pauseAt: 16,
    // A connection is read 64 KiB at a time, which is 2,500 of the shortest requests. More cannot be waiting
    // after a pause.
    each: 3_000,
    // A waiting request takes some 4 KiB, so this many take 24 MiB.
    total: 6_000,
  },
  inFlight: {
    // All machines behind a NAT share one address: 600 runners with three layers each. One hostile address
    // can therefore occupy no more than a fifth of a worker's 10,000 connections.
    ofAddress: 2_000,
    // Up to 300 runners share a service account, with three layers each, and a dockerd pulls ten layers at
    // most. Each download holds one or two buffers, of 32 KiB each if there are many. Anonymous requests
    // count by address alone.
    ofSubject: 1_000,
  },
  times: {
    handshake: 10_000,
    // A balancer writes the header with its first packet.
    proxyHeader: 5_000,
    requestHeaders: 15_000,
    // A client that sends nothing for so long has gone, or holds the connection on purpose. Some clients
    // compress a layer while they send it.
    bodyIdle: 60_000,
    // Every line by which anybody pushes is faster than one KiB a second.
    bodyFloor: { bytes: 60 * 1024, within: 60_000 },
    // A form of at most 64 KiB fits into a few packets.
    smallBody: 30_000,
    // This is longer than the 120 s for which BuildKit keeps a connection, because the client should close
    // first.
    keepAlive: 130_000,
    inactivity: 120_000,
    drain: 30_000,
    check: 5_000,
  },
  // A hanging role is ended after forty seconds and takes a few more to start. Revoked credentials stay valid
  // until then.
  authSilence: LONGEST_SILENCE,
  authQuestions: {
    // Auth delays at most some 300 logins, to hash them and to slow down guesses. It answers all others
    // within milliseconds.
    concurrent: 512,
    // This is more than auth delays for one network, so that somebody who guesses does not block everybody
    // behind the same NAT.
    concurrentEach: 128,
    waiting: 2_048,
    // Together with the running ones these suffice for 600 runners behind a NAT that log in at once. Waiting
    // counts toward the 14 s of a login.
    waitingEach: 512,
  },
  coreQuestions: {
    // Clients' requests get half of the connections to the core. The others are for the progress of fills,
    // which takes one connection each.
    concurrent: 512,
    // Two gateways can thus keep all 64 connections of the core to an upstream busy for one caller. A cached
    // answer occupies a place for milliseconds only.
    concurrentEach: 32,
    waiting: 4_096,
    // 170 machines with three layers each can wait. A subject that asks for thousands of cold tags is told to
    // try again later. Waiting counts toward the 28 s of a request.
    waitingEach: 512,
  },
};

/** The bounds on the rest of a body whose request is refused before it has come. */
export const EARLY_REFUSAL = {
  /**
   * The most bytes that are still read. A client sends a whole manifest before it looks for an answer, and
   * Go's reports a connection that closes meanwhile as a broken pipe, even if the answer is there.
   */
  mostBytes: 4 * 1024 * 1024 + 64 * 1024,
  /** The milliseconds that a client gets to read the answer. */
  longest: 2_000,
};

/** The bounds on pushes. */
export const PUSHES = {
  /**
   * The milliseconds between two checks whether the client of a running upload may still push. A withdrawn
   * right must end it within a second.
   */
  recheckEvery: 250,
};

/**
 * The milliseconds that running requests to the admin listener get at the end. They only ask about the state.
 */
export const ADMIN_DRAIN = 1_000;

/** The milliseconds between two log messages about refused connections, of which a flood makes thousands. */
export const CONNECTION_LOG_EVERY = 60_000;

/** The division of the files and connections that a gateway may have open. */
export const OPEN_FILES = {
  /** The most connections of clients. Each takes memory, whether it sends requests or not. */
  connections: 10_000,
  /** The most cached blobs that stay open for the next reader. */
  blobs: 256,
  /**
   * The files for the audit log, the sockets of the other roles and Node itself. Some thirty are open in an
   * idle gateway.
   */
  reserve: 64,
  /**
   * The files that each client may need: its connection, the file that is read for it, and a connection to
   * the core or auth.
   */
  forConnection: 3,
};

/**
 * The most bytes of a PROXY header that are accepted. Version 2 allows 64 KiB, but the addresses take 52
 * bytes, and the fields that balancers add (TLVs) take some hundred.
 */
export const MAX_PROXY_HEADER = 4_096;

/**
 * The most addresses of `X-Forwarded-For` that are parsed, from the right. No request passes so many proxies.
 */
export const MAX_FORWARDED_ADDRESSES = 32;

/** The bounds on the connections by which a gateway tests whether its listener can be reached. */
export const LISTENER_PROBE = {
  /** The milliseconds for one connection, because somebody waits for the answer of `/readyz`. */
  deadline: 3_000,
  /**
   * The kernel chooses a gateway for each connection. With `n` gateways, `n × (ln n + this)` tries miss one
   * of them in one of 1,000 cases.
   */
  tries: 7,
};

/**
 * The milliseconds for the answers from which the metrics are made. Prometheus gives up on a scrape after 10
 * s.
 */
export const METRICS_DEADLINES = {
  role: 2_000,
  /** The time for another worker is less, because a worker asks no role for it. */
  worker: 1_000,
};

/** The bounds on the requests that a gateway sends to the core. All times are in milliseconds. */
export const CORE_REQUESTS = {
  /**
   * The core's own deadlines for a token and two requests, and a little more; an external registry downloads
   * a cold blob before it answers. Clients wait 30 s for headers.
   */
  deadline: 28_000,
  /** The deadline of a request about the state. */
  status: 2_000,
  /** The deadline of the core for accepting a report. */
  report: 2_000,
  /**
   * The number of attempts. An answer can be outdated before its file is opened, because a fill was published
   * or a file evicted; and an answer can be cut off.
   */
  attempts: 3,
  /**
   * The time for which a refused request, such as one for a missing tag, still occupies its place. An
   * upstream takes as much to answer, so a cold pull does not notice it. A subject that asks for thousands of
   * missing tags does.
   */
  afterRefusal: 100,
  /** The most bytes of a document from an external registry: the limit of the core, and of Docker Hub. */
  maxDocument: 4 * 1024 * 1024,
};

/** The bounds on the reports of cache hits to the core. */
export const HIT_REPORTS = {
  /** The most hits in one report, because a report costs more than what is in it. */
  maxBatch: 1_000,
  /** The least number of milliseconds from one report to the next, for the same reason. */
  pause: 5,
  /** The most hits that wait. With more, the core does not keep up, and the record does not need the rest. */
  maxWaiting: 20_000,
};

/** The bounds on the requests that a gateway sends to auth. All times are in milliseconds. */
export const AUTH_REQUESTS = {
  /**
   * The deadline of a login. Hashing is slow on purpose, and somebody who guesses passwords waits for up to 8
   * s before it. Clients give up waiting for a token after 15 s.
   */
  login: 14_000,
  /** The deadline of all other requests, which auth answers from its memory. */
  deadline: 2_000,
  /** Auth answers a long poll at least this often, so that a gateway notices when it hangs. */
  signOfLife: 3_000,
  /**
   * The time for which a refused login still occupies one of the places of its address, so that one address
   * gets at most some 250 refusals a second, however often it asks. This also counts logins that were wrong
   * in a way that costs auth little.
   */
  afterRefusal: 500,
  /** The longest wait for auth's start. A slow machine takes seconds to start a role. */
  startPatience: 10_000,
  /** The pause between two tries at the start, which the start of the whole mirror waits for. */
  startPause: 50,
};

/** The bounds of the cache of the core's answers. */
export const ANSWER_CACHE = {
  /**
   * The most bytes of all cached manifests, and of one, so that a few large ones do not displace the others.
   */
  maxSize: 16 * 1024 * 1024,
  maxManifest: 256 * 1024,
  /** The bytes that an entry takes besides the manifest itself. */
  entrySize: 512,
  /**
   * The milliseconds that a request waits for the answer to an identical one. A cached answer comes within a
   * few.
   */
  joinFor: 1_000,
};

/** The bounds on the access tokens that clients present. */
export const ACCESS_TOKENS = {
  /**
   * The tolerance in seconds. Clients' clocks do not matter here, but the clocks of the gateway and of auth
   * may differ if they run on different machines.
   */
  clockTolerance: 60,
  /** The longest lifetime that a configuration may set, in seconds. */
  maxAge: 300,
  /** The most characters of a token. A longer one is refused before anything of it is parsed. */
  maxLength: 8 * 1024,
  /** The most verified tokens that are cached, because a verification costs more than a request. */
  maxCached: 20_000,
  /**
   * The milliseconds between two requests for the keys. A client that invents key ids cannot make a gateway
   * ask auth more often.
   */
  renewKeysEvery: 3_000,
};

/** The sizes in bytes, and the bounds, by which blobs are read and sent. */
export const DELIVERY = {
  /** The size in which blobs are read. Smaller chunks cause thread switches and TLS records too often. */
  chunk: 256 * 1024,
  /**
   * The size for more than `manyReaders` at once. Most of them are slow, so the chunks in flight are what
   * takes the memory.
   */
  chunkForMany: 64 * 1024,
  manyReaders: 64,
  /**
   * The size for more than `crowd` readers. Many connections often become writable at the same time, and one
   * turn of the event loop then encrypts what the kernel accepts of them all.
   */
  chunkForCrowd: 32 * 1024,
  crowd: 128,
  /** The most bytes of free buffers of each size. Allocating a buffer costs more than filling it. */
  freeBuffers: 16 * 1024 * 1024,
  /**
   * The bytes that are cached after they are sent. With a larger cache, and large blobs whose readers are far
   * apart, every chunk is read into memory that the processor's caches have dropped.
   */
  cachedChunks: 16 * 1024 * 1024,
  /** The number of interruptions of its fill that one response survives, such as a restart of the core. */
  resumptions: 3,
};

/** The greatest lengths in characters. The longest secret is a federated JWT. */
export const LOGIN_LENGTHS = { username: 255, secret: 16 * 1024 };

/** The bounds on requests to `/token`. */
export const TOKEN_REQUESTS = {
  /** The most bytes of a form. */
  maxBody: 64 * 1024,
  /** The most characters of the client's name, which the client chooses itself. */
  maxClientId: 255,
};

/** The number of entries of a page of the catalog if the client does not choose one. */
export const CATALOG_PAGE = 100;

/**
 * The bounds on a list of tags. An external core passes on what its upstream sends. The built-in core does
 * not allow a longer list either.
 */
export const TAG_LIST_BOUNDS: JsonBounds = { depth: 32, nodes: 30_000, elements: 200_000 };

/** The milliseconds for a part to report its state. A restart of the part takes less. */
export const READINESS_DEADLINE = 3_000;

/** The bounds on log messages about clients that are refused because they do not use TLS. */
export const PLAIN_REFUSALS = {
  /** The milliseconds between two messages about one address. */
  logEvery: 60_000,
  maxAddresses: 1_000,
};

/** The times, in milliseconds, by which a gateway records the removals by retention and the collection. */
export const REMOVALS = {
  /** The pause between two questions to the core. */
  fetchEvery: 5_000,
  /** The time for an answer. */
  deadline: 5_000,
};

/** The seconds after which a client tries again, if its request cannot be recorded at the moment. */
export const UNRECORDED_RETRY_AFTER = 5;

/** The bounds on the writes to the audit log. All times are in milliseconds. */
export const AUDIT_FILE = {
  /** The most bytes of one write. */
  batch: 64 * 1024,
  /** The least time from one write to the next, because a write costs more than its lines. */
  writeEvery: 5,
  /** The pauses between two attempts, because a file that accepts no more must not be tried continuously. */
  firstPause: 10,
  longestPause: 1_000,
  /** The time without progress after which the file counts as not writable, even if no write has failed. */
  stuckAfter: 1_000,
  /** The wait for the remaining lines when the process ends. */
  endPatience: 5_000,
  /** The time between two log messages about lost lines. */
  sayLostEvery: 10_000,
  /**
   * The time without a write after which the end of the file is examined before the next write. A full disk,
   * which this process has not noticed, may have stopped another process in the middle of a line.
   */
  examineAfter: 100,
};

/** The bounds on the lines that wait for a full or slow disk. */
export const AUDIT_QUEUE = {
  mostBytes: 4 * 1024 * 1024,
  /**
   * At this number of bytes no further request may begin. The rest of the room is for the lines of requests
   * that have begun.
   */
  full: 2 * 1024 * 1024,
  /**
   * The most bytes if requests are refused. Then only requests that have begun add lines, and none of these
   * lines may be lost.
   */
  mostBytesRefusing: 16 * 1024 * 1024,
  /** The milliseconds without progress after which requests stop waiting. */
  patience: 5_000,
  /** The milliseconds between two summaries of the refusals that have no lines. */
  summarizeEvery: 60_000,
  /** The most characters of a client's `User-Agent` in a line. */
  longestAgent: 200,
};

/** The refusals that get their own lines in the audit log. The others are counted. */
export const AUDITED_REFUSALS = {
  /** The sustained number of lines per second, and the number that may come at once. */
  ofAddress: { rate: 5, burst: 60 },
  inTotal: { rate: 50, burst: 300 },
  /** The most addresses whose last lines are counted. */
  maxAddresses: 4_096,
  /** The most addresses whose refusals are counted by themselves. */
  maxCounted: 100,
};

/** The bounds on requests that a gateway hands over to the account page. Pulls have other places. */
export const ACCOUNT_REQUESTS = {
  /** The most bytes of a form. */
  maxBody: 64 * 1024,
  /** The milliseconds until the page answers. Auth takes up to 14 s for a login. */
  deadline: 20_000,
  /** Each of them holds a form and a page in memory, and people click slowly. */
  places: { concurrent: 64, concurrentEach: 16, waiting: 64, waitingEach: 16 },
};
