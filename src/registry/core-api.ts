/**
 * The messages between a gateway and the core. A pull is `GET /pull/manifests/latest` (the distribution API's
 * path below its repository), with the repository's upstream and path and a grant in headers. An answer says
 * how it was obtained, and for a blob it gives the place of the bytes instead of the bytes.
 */
import { z } from 'zod';

export const CORE_HEADERS = {
  grant: 'hubgate-grant',
  /**
   * In a request: the repository. Both values are taken literally, so that the core fetches what was
   * authorized.
   */
  upstream: 'hubgate-upstream',
  path: 'hubgate-path',
  /** In a request for a blob: the single wanted range. The answer may be only that range. */
  range: 'hubgate-range',
  cache: 'hubgate-cache',
  /** Of a refusal: its name in `ERRORS`. */
  error: 'hubgate-error',
  /** Of a list: the query of its next page. */
  next: 'hubgate-next',
  /**
   * In a request: an opaque text that is the same for all requests of one caller. If it is absent, `pull` is
   * absent too. The text up to the first `.` names the share of the upstream on which the request is counted.
   * Several callers can have the same share.
   */
  caller: 'hubgate-caller',
  /** The id that the requests of one pull have in common. */
  pull: 'hubgate-pull',
  /** The type of a manifest that is not mirrored. */
  mediaType: 'hubgate-media-type',
  /** What the answer has cost until then, each where it is not 0. The rest, of a fill, is in its last line. */
  upstreamRequests: 'hubgate-upstream-requests',
  countedPulls: 'hubgate-counted-pulls',
  /**
   * Milliseconds for which the answer may be given again to the same question, and the state of the cache that it belongs to:
   * in another state it holds no longer.
   */
  holds: 'hubgate-holds',
  state: 'hubgate-state',
} as const;

/**
 * What was asked of upstreams for one caller: requests, those to token services and storage included, and the pulls that
 * a quota counts. What is shared is the cost of whoever came first.
 */
export const UPSTREAM_COST = z.object({ upstreamRequests: z.int(), countedPulls: z.int() });
export type UpstreamCost = Readonly<z.output<typeof UPSTREAM_COST>>;

/** What the policy granted: public content only, or private content too. */
export type Grant = 'public' | 'private';

export function parseGrant(header: string): Grant | undefined {
  return header === 'public' || header === 'private' ? header : undefined;
}

/**
 * How an answer came about, for the audit line. `hit`: from the cache alone. `revalidated`: the upstream confirmed what
 * was cached. `fill`: fetched for this caller. `joined`: fetched for another at the same time. `stale`: from the cache,
 * because the upstream could not be asked. `bypass`: past a cache that cannot be written.
 */
export const CACHE_STATES = ['hit', 'revalidated', 'fill', 'joined', 'stale', 'bypass'] as const;
export type CacheState = (typeof CACHE_STATES)[number];

/** Where the core may send a reader: into the cache, and nowhere else in the file system. */
const FILE = z
  .string()
  .regex(/^(?:blobs|partial)\/[a-z0-9./-]+$/)
  .refine((file) => !file.includes('..'));

/** A whole and verified blob: one JSON document. */
export const LOCATION_TYPE = 'application/vnd.hubgate.location.v1+json';
export const LOCATION = z.object({ file: FILE, size: z.int() });
export type Location = z.output<typeof LOCATION>;

/** The bytes of a blob themselves, past a cache that cannot be written: not verified. */
export const BYTES_TYPE = 'application/octet-stream';

/** A part of a blob that is not cached yet, with its `content-range`. It is not verified. */
export const PART_TYPE = 'application/vnd.hubgate.part';
export const PART_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;

/**
 * A fill: JSON lines, the first of which says where its file is, and each other how far it has come. `written` bytes can be
 * read from the file; only `verified` ones are right for sure.
 */
export const FILL_TYPE = 'application/vnd.hubgate.fill.v1+ndjson';
/** `id`: another fill of the same file, as one that goes on where this one ended, has another. */
export const FILL = z.object({ id: z.string(), file: FILE, size: z.int().nullable() });
export type FillStart = z.output<typeof FILL>;

/** `cost`: since the headers, for this caller; where there was any. */
const LAST_LINE = { cost: UPSTREAM_COST.optional() };

export const PROGRESS = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('filling'), written: z.int() }),
  z.object({ kind: z.literal('verified'), size: z.int(), ...LAST_LINE }),
  /** It does not go on here, for a reason that is the mirror's own: to ask again leads to the rest. */
  z.object({ kind: z.literal('interrupted'), ...LAST_LINE }),
  z.object({ kind: z.literal('failed'), ...LAST_LINE }),
]);
export type Progress = Readonly<z.output<typeof PROGRESS>>;

/** What an upstream made of the configured credential when it was last shown to it; `unknown`: not yet, since it changed. */
const CREDENTIAL_STATES = ['none', 'accepted', 'refused', 'unknown'] as const;
export type CredentialState = (typeof CREDENTIAL_STATES)[number];

/** `GET /status`: what the core says of itself. `GET /metrics`: what it measures, as `platform/metrics.ts` has it. */
export const CORE_STATUS = z.object({
  cache: z.object({
    /** Manifests and blobs, and their bytes. */
    blobs: z.int(),
    bytes: z.int(),
    /** The most bytes that the cache may hold. */
    maxSize: z.int(),
    repositories: z.int(),
    /** Answers since the start that could not be cached. */
    unwritten: z.int(),
    /** False while nothing is cached because the cache cannot be written. `error` gives the reason. */
    writable: z.boolean(),
    error: z.string().nullable(),
  }),
  /** Since the start, by how they came about. */
  answers: z.record(z.enum(CACHE_STATES), z.int()),
  upstreams: z.array(
    z.object({
      host: z.string(),
      /** Why it is left alone, where it is. */
      trouble: z.string().nullable(),
      credential: z.enum(CREDENTIAL_STATES),
      quota: z
        .object({
          limit: z.int(),
          remaining: z.int(),
          /** Seconds. */
          window: z.int(),
          source: z.string().optional(),
          /** Milliseconds since the epoch. */
          readAt: z.int(),
        })
        .nullable(),
    }),
  ),
});
export type CoreStatus = Readonly<z.output<typeof CORE_STATUS>>;

/** `GET /cache`: the repositories of which something is known. */
export const CACHED_REPOSITORIES = z.array(
  z.object({
    name: z.string(),
    visibility: z.enum(['public', 'private', 'unknown']),
    digests: z.int(),
    tags: z.int(),
  }),
);
export type CachedRepositories = Readonly<z.output<typeof CACHED_REPOSITORIES>>;

/** `POST /cache/purge`: a repository in full, or one of its tags or digests. */
export const PURGE = z.strictObject({ repository: z.string(), reference: z.string().nullable() });
export const PURGED = z.object({ digests: z.int(), bytes: z.int() });
export type Purged = Readonly<z.output<typeof PURGED>>;

/**
 * `GET /state`: of the cache, as far as it can be remembered. Another one says that something was withdrawn. Answered by 304
 * while it is that of `If-None-Match`; with `?wait`, only when it has changed or after `LONGEST_WAIT` (platform/followed-answer.ts).
 */
export const CACHE_STATE = z.string();

/**
 * `POST /served`: what a gateway has given out of its own memory, so that it counts as used; answered with the id of the pull that
 * each belongs to. Both are JSON lines of one request, which stays open: each line is answered by one.
 */
export const SERVED = z.array(
  z.object({
    caller: z.string(),
    upstream: z.string(),
    path: z.string(),
    kind: z.enum(['manifest', 'blob']),
    method: z.enum(['GET', 'HEAD']),
    /** As it was asked for. */
    reference: z.string(),
    digest: z.string(),
  }),
);
export type Served = Readonly<z.output<typeof SERVED>[number]>;
export const PULL_IDS = z.array(z.string().nullable());

/** `POST /upstreams/check`: what each upstream answers now. */
export const UPSTREAM_CHECKS = z.array(
  z.object({
    host: z.string(),
    /** Why not, where it is not reachable. */
    trouble: z.string().nullable(),
    credential: z.enum(CREDENTIAL_STATES),
    /** May it change what is there? Null where the upstream does not say. */
    mayPush: z.boolean().nullable(),
    /** Milliseconds by which the core's clock is ahead of the upstream's; null where that does not say its time. */
    ahead: z.number().nullable(),
    /** What the check took. */
    milliseconds: z.int(),
  }),
);
export type UpstreamChecks = Readonly<z.output<typeof UPSTREAM_CHECKS>>;

/** `POST /upstreams/steps`: the way to one upstream, step by step. The body is an `UPSTREAM_STEPS_QUESTION`. */
export const UPSTREAM_STEPS = z.array(
  z.object({
    step: z.enum([
      ...([
        'proxy',
        'DNS',
        'address',
        'TLS',
        '/v2/',
        'challenge',
        'token',
        'HEAD',
        'GET',
        'redirect',
      ] as const),
      'first bytes',
    ]),
    result: z.enum(['ok', 'failed', 'skipped']),
    detail: z.string(),
    /** The setting that mends it; null if nothing has failed. */
    mend: z.string().nullable(),
  }),
);
export type UpstreamStep = Readonly<z.output<typeof UPSTREAM_STEPS>[number]>;
/** `image`: a whole name with a tag or a digest; null: up to the token. */
export const UPSTREAM_STEPS_QUESTION = z.object({ host: z.string(), image: z.string().nullable() });
