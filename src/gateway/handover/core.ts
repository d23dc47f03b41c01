/**
 * To the core: a fresh request, built from a parsed route and a grant. No header and no URL of a client crosses. It
 * answers with what the core has; it depends on the core's HTTP, and must not know who asked or why they may.
 */
import type { Readable } from 'node:stream';
import type { ToldMetrics } from '../../platform/metrics.ts';
import type { CachedRepositories, UpstreamCost } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ErrorName } from '../../registry/error.ts';
import type { Page } from '../../registry/page.ts';
import type { RepositoryRoute } from '../../registry/route.ts';
import type { BlobSource } from './blob-source.ts';

export interface Core extends AsyncDisposable {
  pull(route: RepositoryRoute, options: PullOptions): Promise<CoreAnswer>;
  /** The repositories of which something is cached; undefined of a core that does not tell. */
  repositories(client: Pick<PullOptions, 'share' | 'signal'>): Promise<CachedRepositories | undefined>;
  /** What the core says of itself, for readiness. Rejects where it does not answer. */
  status(): Promise<object>;
  /** What the core measures; undefined of one that does not tell. */
  metrics(): Promise<ToldMetrics | undefined>;
}

export interface PullOptions {
  readonly method: 'GET' | 'HEAD';
  /** Does the grant reach private content? */
  readonly private: boolean;
  /** An opaque text that is the same for all requests of one caller. */
  readonly caller?: string;
  /**
   * The share of the places for questions that the request takes: a subject, or the address of `anonymous`.
   * If absent, the request needs no place.
   */
  readonly share?: string;
  /** Aborted when the client has gone, so that questions not yet sent are dropped. */
  readonly signal?: AbortSignal;
  /** The single range that is wanted of a blob, such as `bytes=0-9`. */
  readonly range?: string | undefined;
  /** Where the core's notes are put. */
  readonly notes?: CoreNotes;
}

/**
 * What a core says besides its answer, for the record: some of it with the headers, the rest with the last bytes of a fill.
 * Nothing of one that does not tell.
 */
export interface CoreNotes {
  /** The id that the requests of one pull have in common. */
  pull?: string | Promise<string | undefined>;
  cost?: UpstreamCost;
}

/** For how long an answer may be given again, and in which state of the cache. */
export interface Holding {
  /** Milliseconds. */
  readonly for: number;
  readonly state: string;
}

export type CoreAnswer =
  | {
      readonly kind: 'manifest';
      readonly cache: string;
      readonly mediaType: string;
      readonly digest: Digest;
      readonly size: number;
      readonly bytes?: Buffer;
      /** Seconds, of a stale answer. */
      readonly age?: number;
      readonly holds?: Holding;
    }
  | {
      readonly kind: 'blob';
      readonly cache: string;
      readonly source: BlobSource;
      readonly holds?: Holding;
    }
  /** The wanted range of a blob that is not cached yet. It is not verified. */
  | {
      readonly kind: 'blob-part';
      readonly cache: string;
      readonly start: number;
      readonly end: number;
      readonly size: number;
      readonly bytes: Buffer;
    }
  /** Of a HEAD. */
  | { readonly kind: 'blob-head'; readonly cache: string; readonly size: number | undefined }
  /** Bytes that come through the core, not verified: of one that is not ours, or that cannot write its cache. */
  | {
      readonly kind: 'blob-stream';
      readonly cache: string;
      readonly size: number | undefined;
      readonly body: Readable;
    }
  | {
      readonly kind: 'document';
      readonly cache: string;
      readonly bytes: Buffer;
      readonly next?: Page;
      /** Seconds, of a stale answer. */
      readonly age?: number;
    }
  | {
      readonly kind: 'refused';
      readonly error: ErrorName;
      readonly retryAfter?: number;
      /** Replaces the standard message. */
      readonly message?: string;
      /** The age of a stale answer in seconds. */
      readonly age?: number;
    };
