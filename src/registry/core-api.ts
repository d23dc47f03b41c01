/**
 * What a gateway and the core say to each other besides the distribution API. Requests carry a grant; answers say how
 * they came about, and of a blob where its bytes lie instead of the bytes.
 */
import { z } from 'zod';

export const CORE_HEADERS = {
  grant: 'hubgate-grant',
  cache: 'hubgate-cache',
  /** Of a refusal: its name in `ERRORS`. */
  error: 'hubgate-error',
  /** Of a list: the query of its next page. */
  next: 'hubgate-next',
} as const;

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
export type CacheState = 'hit' | 'revalidated' | 'fill' | 'joined' | 'stale' | 'bypass';

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

/**
 * A fill: JSON lines, the first of which says where its file is, and each other how far it has come. `written` bytes can be
 * read from the file; only `verified` ones are right for sure.
 */
export const FILL_TYPE = 'application/vnd.hubgate.fill.v1+ndjson';
export const FILL = z.object({ file: FILE, size: z.int().nullable() });
export type FillStart = z.output<typeof FILL>;

export const PROGRESS = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('filling'), written: z.int() }),
  z.object({ kind: z.literal('verified'), size: z.int() }),
  /** It does not go on here, for a reason that is the mirror's own: to ask again leads to the rest. */
  z.object({ kind: z.literal('interrupted') }),
  z.object({ kind: z.literal('failed') }),
]);
export type Progress = Readonly<z.output<typeof PROGRESS>>;
