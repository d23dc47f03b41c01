/**
 * The messages between a gateway and the core. A pull is `GET /pull/manifests/latest` (the distribution API's
 * path below its repository), with the repository's upstream and path and the read access in headers. An
 * answer says how it was obtained, and for a blob it gives the place of the bytes instead of the bytes.
 */
import { z } from 'zod';

export const CORE_HEADERS = {
  /** The read access of the caller, as `ReadAccess`. */
  grant: 'hubgate-grant',
  /**
   * The repository of a request. Both values are taken literally, so that the core fetches what was
   * authorized.
   */
  upstream: 'hubgate-upstream',
  path: 'hubgate-path',
  /** The single requested range of a blob. The answer may be only that range. */
  range: 'hubgate-range',
  /** The way in which the answer was obtained, as one of `CACHE_STATES`. */
  cache: 'hubgate-cache',
  /** The name of a refusal in `ERRORS`. */
  error: 'hubgate-error',
  /** The query of the next page of a list. */
  next: 'hubgate-next',
  /**
   * An opaque text in a request that is the same for all requests of one caller. If it is absent, `pull` is
   * absent too.
   */
  caller: 'hubgate-caller',
  /**
   * A hash in a request that is the same for all requests of one subject, which can be several callers. The
   * request counts toward the subject's share of the upstream.
   */
  subjectKey: 'hubgate-subject-key',
  /** The budgets that the pull is charged to, as `BUDGETS` in JSON. Absent if no limit applies. */
  budgets: 'hubgate-budgets',
  /** The part of the upstream's quota that is kept for others, as `RESERVED` in JSON. Absent if none is. */
  reserved: 'hubgate-reserved',
  /** The reason why a pull or a download was refused with 429, as `QUOTA_REFUSAL` in JSON. */
  quotaRefusal: 'hubgate-quota-refusal',
  /** The reason why the answer is an earlier manifest of the tag, as `HELD` says. */
  held: 'hubgate-held',
  /** The id that the requests of one pull share. */
  pull: 'hubgate-pull',
  /** The type of a manifest that is not mirrored. */
  mediaType: 'hubgate-media-type',
  /** The cost of the answer so far, if it is not 0. The further cost of a fill is in its last line. */
  upstreamRequests: 'hubgate-upstream-requests',
  countedPulls: 'hubgate-counted-pulls',
  /** The account that bears the cost, if the upstream has several. */
  account: 'hubgate-account',
  /**
   * The max age of the answer in milliseconds, and the generation of the cache that it belongs to. In another
   * generation it is not valid any more.
   */
  maxAgeMs: 'hubgate-max-age-ms',
  generation: 'hubgate-generation',
} as const;

/**
 * The cost of one caller at upstreams: requests, including those to token services and storage, and the pulls
 * that a quota counts. A shared request counts for the caller that came first.
 */
export const UPSTREAM_COST = z.object({
  upstreamRequests: z.int(),
  countedPulls: z.int(),
  /** The account that was used; absent if the upstream has only one. */
  account: z.string().optional(),
});
export type UpstreamCost = Readonly<z.output<typeof UPSTREAM_COST>>;

/** The read access that the policy grants: to public content only, or to private content too. */
export type ReadAccess = 'public' | 'private';

export function parseReadAccess(header: string): ReadAccess | undefined {
  return header === 'public' || header === 'private' ? header : undefined;
}

/** An allowance: at most `max` of something in any `windowMs` milliseconds. */
const ALLOWANCE = z.strictObject({ max: z.int().nonnegative(), windowMs: z.int().positive() });

/**
 * The limits of the policy that apply to a caller, as the core needs them. `limit` is the id of the limit.
 * Requests with the same `key` are charged to the same budget: to one for all callers of the limit, or to one
 * for each subject.
 */
const BUDGETS = z
  .array(
    z.strictObject({
      limit: z.string(),
      key: z.string(),
      pulls: ALLOWANCE.optional(),
      bytes: ALLOWANCE.optional(),
    }),
  )
  .max(100);
export type Budget = Readonly<z.output<typeof BUDGETS>[number]>;

/** The share of the upstream's quota that reserves keep for others than the caller, and their ids. */
const RESERVED = z.strictObject({ share: z.number().min(0).max(1), ids: z.array(z.string()) });
export type Reserved = Readonly<z.output<typeof RESERVED>>;

/** Parses the header `budgets`; undefined if it is malformed. Without the header there is no budget. */
export function parseBudgets(header: string): readonly Budget[] | undefined {
  return header === '' ? [] : parseHeader(BUDGETS, header);
}

/** Parses the header `reserved`; undefined if it is malformed. Without the header nothing is reserved. */
export function parseReserved(header: string): Reserved | undefined {
  return header === '' ? { share: 0, ids: [] } : parseHeader(RESERVED, header);
}

/**
 * The reason why a pull was refused before the upstream was asked: a limit is used up, the subject has used
 * its fair share of a short quota, the rest of the quota is reserved for others, or the upstream itself
 * refuses.
 */
const QUOTA_REFUSAL = z.object({
  kind: z.enum(['limit', 'share', 'reserve', 'upstream']),
  /** The id of the limit or of the reserve. */
  id: z.string().optional(),
  unit: z.enum(['pulls', 'bytes']),
  used: z.number().optional(),
  max: z.number().optional(),
  windowMs: z.number().optional(),
  /** The time in milliseconds since the epoch when the next one will be possible. */
  untilMs: z.number().optional(),
});
export type QuotaRefusal = Readonly<z.output<typeof QUOTA_REFUSAL>>;

/** Parses the header `quotaRefusal`; undefined if it is malformed or absent. */
export function parseQuotaRefusal(header: string): QuotaRefusal | undefined {
  return parseHeader(QUOTA_REFUSAL, header);
}

/** The value of the header `held`. */
export type Held = `limit:${string}` | `reserve:${string}` | 'share';

function parseHeader<Schema extends z.ZodType>(schema: Schema, header: string): z.output<Schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(header)).data;
  } catch {
    return undefined;
  }
}

/**
 * The way in which an answer was obtained, for the audit line. `hit` is from the cache alone. `revalidated`
 * means that the upstream confirmed what was cached. `fill` was fetched for this caller, `joined` for another
 * one at the same time. `stale` is from the cache, because the upstream could not be asked. `bypass` went
 * past a cache that cannot be written.
 */
export const CACHE_STATES = ['hit', 'revalidated', 'fill', 'joined', 'stale', 'bypass'] as const;
export type CacheState = (typeof CACHE_STATES)[number];

/**
 * The paths to which the core may send a reader. They are relative to the directory of the cache, or to that
 * of the hosted repositories, and never lead out of it.
 */
const FILE = z
  .string()
  .regex(/^(?:blobs|partial)\/[a-z0-9./-]+$/)
  .refine((file) => !file.includes('..'));

/**
 * The place where a gateway reads a complete and verified blob. A file is named relative to the directory of
 * the cache, because a gateway may see that directory under another path than the core.
 */
export const BLOB_LOCATION = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), file: FILE, size: z.int() }),
  /** A blob of a hosted repository, relative to the directory of the hosted repositories. */
  z.object({ kind: z.literal('hosted-file'), file: FILE, size: z.int() }),
]);
export type BlobLocation = Readonly<z.output<typeof BLOB_LOCATION>>;
/** A `BlobLocation` as one JSON document. */
export const LOCATION_TYPE = 'application/vnd.hubgate.location.v1+json';

/**
 * The place where a gateway reads a blob while it grows. It is a type of its own, because not every place of
 * a complete blob can be read while it is written.
 */
export const PARTIAL_LOCATION = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), file: FILE }),
]);
export type PartialLocation = Readonly<z.output<typeof PARTIAL_LOCATION>>;

/** The unverified bytes of a blob, past a cache that cannot be written. */
export const BYTES_TYPE = 'application/octet-stream';

/** A part of a blob that is not cached yet, with its `content-range`. It is not verified. */
export const PART_TYPE = 'application/vnd.hubgate.part';
export const PART_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;

/**
 * A fill as JSON lines. The first line gives the place of its bytes, and each further line its progress.
 * `written` bytes can be read there. Only `verified` bytes are certainly right.
 */
export const FILL_TYPE = 'application/vnd.hubgate.fill.v1+ndjson';
/**
 * `id` distinguishes fills at the same place: a fill that resumes where another one ended has another id.
 * `size` is the size of the whole blob; null if the upstream does not announce it.
 */
export const FILL = z.object({ id: z.string(), location: PARTIAL_LOCATION, size: z.int().nullable() });
export type FillStart = z.output<typeof FILL>;

/** `cost` is the cost for this caller since the headers; absent if there was none. */
const LAST_LINE = { cost: UPSTREAM_COST.optional() };

export const FILL_PROGRESS_LINE = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('filling'), written: z.int() }),
  z.object({ kind: z.literal('verified'), size: z.int(), ...LAST_LINE }),
  /** The fill stops for a reason of the mirror itself. Another request leads to the rest. */
  z.object({ kind: z.literal('interrupted'), ...LAST_LINE }),
  z.object({ kind: z.literal('failed'), ...LAST_LINE }),
]);
export type FillProgressLine = Readonly<z.output<typeof FILL_PROGRESS_LINE>>;

/**
 * The upstream's verdict when it was last presented with the configured credential. `unknown` means that
 * there is none since the credential changed.
 */
const CREDENTIAL_STATES = ['none', 'accepted', 'refused', 'unknown'] as const;
export type CredentialState = (typeof CREDENTIAL_STATES)[number];

/** The quota that an upstream last reported. */
const REPORTED_QUOTA = z.object({
  limit: z.int(),
  remaining: z.int(),
  /** The length in seconds. */
  window: z.int(),
  source: z.string().optional(),
  /** The time in milliseconds since the epoch. */
  readAt: z.int(),
});

/**
 * `GET /status` returns the core's report on itself. `GET /metrics` returns its metrics in the form of
 * `platform/metrics.ts`.
 */
export const CORE_STATUS = z.object({
  cache: z.object({
    /** The number of manifests and blobs, and their bytes. */
    blobs: z.int(),
    bytes: z.int(),
    /** The most bytes that the cache may take. */
    maxSize: z.int(),
    repositories: z.int(),
    /** The number of answers since the start that could not be cached. */
    unwritten: z.int(),
    /** False while nothing is cached because the cache cannot be written. `error` gives the reason. */
    writable: z.boolean(),
    error: z.string().nullable(),
  }),
  /** The number of answers since the start, by how they were obtained. */
  answers: z.record(z.enum(CACHE_STATES), z.int()),
  /** `error` says why the counts of pulls cannot be read, so that no limit applies; null if they can. */
  budget: z.object({ error: z.string().nullable() }),
  /** Absent if nothing is hosted. `error` says why hosted names are refused; null if they are not. */
  hosted: z.object({ error: z.string().nullable(), uploads: z.int() }).optional(),
  /**
   * Absent if the core works alone. `error` says that the database does not answer. A draining node wants no
   * new clients.
   */
  cluster: z
    .object({
      node: z.string(),
      error: z.string().nullable(),
      draining: z.boolean(),
      alive: z.int(),
      nodes: z.int(),
      /** Absent if there is no object store. `error` says why it cannot be used; null if it can. */
      objects: z.object({ error: z.string().nullable(), pending: z.int() }).optional(),
    })
    .optional(),
  upstreams: z.array(
    z.object({
      host: z.string(),
      /** The reason why no requests are sent to it; null if they are. */
      trouble: z.string().nullable(),
      credential: z.enum(CREDENTIAL_STATES),
      /** The quota. With several accounts it is that of the account with most pulls left. */
      quota: REPORTED_QUOTA.nullable(),
      /** Present if the configuration names several accounts. */
      accounts: z
        .array(
          z.object({
            name: z.string(),
            credential: z.enum(CREDENTIAL_STATES),
            quota: REPORTED_QUOTA.nullable(),
          }),
        )
        .optional(),
    }),
  ),
});
export type CoreStatus = Readonly<z.output<typeof CORE_STATUS>>;

/** `GET /cache` returns the repositories of which something is known. */
export const CACHED_REPOSITORIES = z.array(
  z.object({
    name: z.string(),
    visibility: z.enum(['public', 'private', 'unknown']),
    digests: z.int(),
    tags: z.int(),
  }),
);
export type CachedRepositories = Readonly<z.output<typeof CACHED_REPOSITORIES>>;

/** `POST /cache/purge` removes a whole repository, or one of its tags or digests. */
export const PURGE = z.strictObject({ repository: z.string(), reference: z.string().nullable() });
export const PURGED = z.object({
  digests: z.int(),
  bytes: z.int(),
  /** The other nodes of the cluster, which remove the content from their disks too. */
  nodes: z.int().optional(),
});
export type Purged = Readonly<z.output<typeof PURGED>>;

/**
 * `GET /generation` returns the generation of the cache, which changes with each invalidation. The answer is
 * 304 if `If-None-Match` has the current generation. With `?wait`, that answer comes only after
 * `LONGEST_WAIT`, and the next generation as soon as there is one (platform/ipc/long-poll-endpoint.ts).
 */
export const CACHE_GENERATION = z.string();

/**
 * `POST /hits` reports a gateway's cache hits, so that they count as uses. The answer is the id of the pull
 * that each belongs to. Both are JSON lines of one request that stays open: each line is answered by one
 * line.
 */
export const CACHE_HITS = z.array(
  z.object({
    caller: z.string(),
    upstream: z.string(),
    path: z.string(),
    kind: z.enum(['manifest', 'blob']),
    method: z.enum(['GET', 'HEAD']),
    /** The reference in the form of the request. */
    reference: z.string(),
    digest: z.string(),
  }),
);
export type CacheHit = Readonly<z.output<typeof CACHE_HITS>[number]>;
export const PULL_IDS = z.array(z.string().nullable());

/** `POST /upstreams/check` returns what each upstream answers now. */
export const UPSTREAM_CHECKS = z.array(
  z.object({
    host: z.string(),
    /** The reason why it is not reachable; null if it is. */
    trouble: z.string().nullable(),
    credential: z.enum(CREDENTIAL_STATES),
    /** True if the credential may change content there. Null if the upstream does not tell. */
    mayPush: z.boolean().nullable(),
    /**
     * The milliseconds by which the core's clock is ahead of the upstream's. Null if the upstream does not
     * send its time.
     */
    ahead: z.number().nullable(),
    /** Present if the configuration names several accounts. */
    accounts: z
      .array(
        z.object({
          name: z.string(),
          credential: z.enum(CREDENTIAL_STATES),
          mayPush: z.boolean().nullable(),
        }),
      )
      .readonly()
      .optional(),
    /** The duration of the check. */
    milliseconds: z.int(),
  }),
);
export type UpstreamChecks = Readonly<z.output<typeof UPSTREAM_CHECKS>>;

/**
 * `POST /upstreams/steps` goes the way to one upstream, step by step. The body is an
 * `UPSTREAM_STEPS_QUESTION`.
 */
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
    /** The setting that fixes it; null if nothing has failed. */
    mend: z.string().nullable(),
  }),
);
export type UpstreamStep = Readonly<z.output<typeof UPSTREAM_STEPS>[number]>;
/** `image` is a full name with a tag or a digest. If it is null, the steps end at the token. */
export const UPSTREAM_STEPS_QUESTION = z.object({ host: z.string(), image: z.string().nullable() });
