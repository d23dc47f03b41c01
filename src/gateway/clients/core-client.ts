/**
 * The interface to the core: a request to it is built from a parsed route and the read access. No header and
 * no URL of a client crosses. This module depends on the core's HTTP, and must not know who asked or why they
 * may.
 */
import type { Readable } from 'node:stream';
import type { MetricsSnapshot } from '../../platform/metrics.ts';
import type { CachedRepositories, QuotaRefusal, UpstreamCost } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ErrorName } from '../../registry/error.ts';
import type { Page } from '../../registry/page.ts';
import type { RepositoryRoute } from '../../registry/route.ts';
import type { SpendingHeaders } from '../authorization/policy-limits.ts';
import type { BlobReader } from '../delivery/blob-reader.ts';

export interface CoreClient extends AsyncDisposable {
  /**
   * Asks for what a route names.
   *
   * @throws PullFailed if the core fails after it has accounted for the pull
   */
  pull(route: RepositoryRoute, options: PullOptions): Promise<CoreAnswer>;
  /**
   * Resolves to the repositories of which something is cached; to undefined if the core does not report them.
   */
  repositories(client: Pick<PullOptions, 'share' | 'signal'>): Promise<CachedRepositories | undefined>;
  /** Resolves to the core's own report for readiness. Rejects if the core does not answer. */
  status(): Promise<object>;
  /** Resolves to the metrics of the core; to undefined if it does not report them. */
  metrics(): Promise<MetricsSnapshot | undefined>;
}

export interface PullOptions {
  readonly method: 'GET' | 'HEAD';
  /** True if the read access includes private content. */
  readonly private: boolean;
  /** An opaque text that is the same for all requests of one caller. */
  readonly caller?: string;
  /**
   * Returns an opaque text that is the same for all requests of one subject. It is called only if the core is
   * really asked.
   */
  readonly subjectKey?: () => string;
  /**
   * The key of the share of the places for requests that this one takes: a subject, or the address of
   * `anonymous`. If absent, the request needs no place.
   */
  readonly share?: string;
  /**
   * Returns a signal that is aborted when the client has gone, so that requests not yet sent are dropped. It
   * is called only if the core is really asked, because Node makes the signal then, with a listener to the
   * connection.
   */
  readonly signal?: () => AbortSignal;
  /** Returns what the pull may spend at the upstream. It is called only if the core is really asked. */
  readonly spending?: () => SpendingHeaders;
  /** The single requested range of a blob, such as `bytes=0-9`. */
  readonly range?: string | undefined;
}

/** The core's report besides its answer, for the record. It is empty if the core reports nothing. */
export interface PullAccounting {
  /** The id that the requests of one pull share. The core reports that of a cache hit a moment later. */
  readonly pull?: string | Promise<string | undefined> | undefined;
  /** The cost until the answer began. */
  readonly cost?: UpstreamCost | undefined;
  /**
   * Returns the cost that came with the last line of a fill, as a trailer does. It is undefined before that
   * line has been read, and if the fill was begun for another request.
   */
  readonly trailingCost?: (() => UpstreamCost | undefined) | undefined;
}

/** Thrown if a pull fails although the core has accounted for it. The cause is the failure. */
export class PullFailed extends Error {
  override readonly name = 'PullFailed';
  readonly accounting: PullAccounting;

  constructor(accounting: PullAccounting, cause: unknown) {
    super('the pull failed after the core had accounted for it', { cause });
    this.accounting = accounting;
  }
}

/** The max age of an answer, and the generation of the cache that it belongs to. */
export interface CacheLifetime {
  /** The max age in milliseconds. */
  readonly maxAgeMs: number;
  readonly generation: string;
}

/** An answer of the core, with what the core reports about the pull. */
export type CoreAnswer = AnswerContent & { readonly accounting?: PullAccounting };

/** The content of an answer of the core. */
export type AnswerContent =
  | {
      readonly kind: 'manifest';
      readonly cache: string;
      readonly mediaType: string;
      readonly digest: Digest;
      readonly size: number;
      readonly bytes?: Buffer;
      /** The age of a stale answer in seconds. */
      readonly age?: number;
      readonly lifetime?: CacheLifetime;
      /** The reason why this is an earlier manifest of the tag, if a quota is the reason. */
      readonly held?: string;
    }
  | {
      readonly kind: 'blob';
      readonly cache: string;
      readonly source: BlobReader;
      readonly lifetime?: CacheLifetime;
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
  /** The answer to a HEAD. */
  | { readonly kind: 'blob-head'; readonly cache: string; readonly size: number | undefined }
  /**
   * Unverified bytes that come through the core: from a core that is not ours, or that cannot write its
   * cache.
   */
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
      /** The filter that was applied to a list of referrers. */
      readonly filters?: string;
      /** The age of a stale answer in seconds. */
      readonly age?: number;
    }
  | {
      readonly kind: 'refused';
      readonly error: ErrorName;
      readonly retryAfter?: number;
      /** Replaces the standard message. */
      readonly message?: string;
      /** Present if a quota is the reason. */
      readonly quota?: QuotaRefusal;
      /** The age of a stale answer in seconds. */
      readonly age?: number;
    };
