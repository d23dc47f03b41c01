import type { Logger } from '../../platform/log.ts';
import { asError } from '../../platform/reason.ts';
import type { Digest } from '../../registry/digest.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type { CacheSpace, MeasuredSpace, Reservation } from '../eviction/cache-space.ts';
import type { PartialContent } from '../store/content-store.ts';
import type { BlobBody } from '../upstream/read-blob.ts';
import { ok, type UpstreamResult } from '../upstream/upstream-result.ts';
import type { CacheWrites } from './cache-writes.ts';
import { Fill } from './fill.ts';
import type { FillPlace } from './fill-places.ts';
import type { ReceiveOptions } from './receive-blob.ts';

export interface DownloadOptions {
  readonly digest: Digest;
  /** Opens the partial file of an earlier fill. */
  readonly begin: () => Promise<PartialContent>;
  /** Tells whether any repository contains the digest. */
  readonly isLinkedAnywhere: () => Promise<boolean>;
  readonly writes: CacheWrites;
  readonly space: CacheSpace;
  readonly log: Logger;
}

/**
 * The result of an opening. `unwritable` means that the cache cannot be written or has no space for the blob,
 * so there is no fill.
 */
export type Opened = UpstreamResult<Fill> | { readonly kind: 'unwritable' };

interface DownloadStart {
  /** True if the earlier fill left more bytes than the blob has. */
  readonly isTooMuch: boolean;
  readonly measured: MeasuredSpace;
  readonly receive: ReceiveOptions;
}

const UNWRITABLE = { kind: 'unwritable' } as const;

/**
 * The download of one digest, from the first request to the end of its fill. Several repositories can be
 * asked for the digest at the same time, each under its own scope. A refusal belongs to the repository that
 * it was asked for. The first confirmation begins the fill, and from then on the others share its bytes.
 */
export class Download {
  /** Settles when another download of this digest may begin: after the fill, if there was one. */
  readonly ended: Promise<Fill | undefined>;
  readonly #options: DownloadOptions;
  readonly #partial: Promise<PartialContent | undefined>;
  /** The openings of repositories that are being asked or have confirmed the digest. */
  readonly #openings = new Map<RepositoryName, Promise<Opened>>();
  readonly #end = Promise.withResolvers<Fill | undefined>();
  #fill: Promise<Opened> | undefined;
  #filledFor: RepositoryName | undefined;
  #running: Fill | undefined;
  #isClosed = false;

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.ended = this.#end.promise;
    this.#partial = options.begin().catch((error: Error) => {
      options.writes.failed(error);
      return undefined;
    });
  }

  /** True if the download is ending. It then accepts no further repository. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * The fill, once a repository has confirmed the digest. Only callers whose own repository has confirmed it
   * may read the fill.
   */
  get fill(): Promise<Opened> | undefined {
    return this.#fill;
  }

  /** The fill that is under way. */
  get running(): Fill | undefined {
    return this.#running;
  }

  /** The repository whose confirmation began the fill. */
  get filledFor(): RepositoryName | undefined {
    return this.#filledFor;
  }

  /** Ends the fill if nobody reads it any more. Returns true if it did. */
  giveWay(): boolean {
    if (this.#running?.isAbandoned !== true) return false;
    this.#running.giveWay();
    return true;
  }

  /** True if this repository is being asked or has confirmed the digest. */
  isOf(repository: RepositoryName): boolean {
    return this.#openings.has(repository);
  }

  /**
   * Asks for the bytes under the scope of one repository. All callers who want them there share one request.
   */
  open(repository: RepositoryName, receive: ReceiveOptions, place: FillPlace): Promise<Opened> {
    const running = this.#openings.get(repository);
    if (running !== undefined) {
      place[Symbol.dispose]();
      return running;
    }
    const opened = this.#openFor(repository, receive);
    void this.#holdPlace(repository, opened, place);
    this.#openings.set(repository, opened);
    return opened;
  }

  /** Keeps the place until the opening is refused, or until the fill that it began has ended. */
  async #holdPlace(repository: RepositoryName, opened: Promise<Opened>, place: FillPlace): Promise<void> {
    const answer = await opened.catch(() => undefined);
    if (answer?.kind === 'ok' && this.#filledFor === repository) await answer.value.ended;
    place[Symbol.dispose]();
  }

  async #openFor(repository: RepositoryName, receive: ReceiveOptions): Promise<Opened> {
    try {
      const opened = await this.#ask(repository, receive);
      if (opened.kind !== 'ok') await this.#refused(repository, opened.kind);
      return opened;
    } catch (error) {
      await this.#refused(repository, 'unavailable');
      throw error;
    }
  }

  async #ask(repository: RepositoryName, receive: ReceiveOptions): Promise<Opened> {
    const partial = await this.#partial;
    if (partial === undefined) return UNWRITABLE;
    const measured = await this.#measure();
    if (measured === undefined) return UNWRITABLE;
    const rest = await receive.open(partial.resumeOffset, undefined);
    const isTooMuch =
      partial.resumeOffset > 0 && rest.kind === 'unavailable' && rest.failure.cause === 'unfit';
    const answer = isTooMuch ? await receive.open(0, undefined) : rest;
    if (answer.kind !== 'ok') return answer;
    if (this.#fill !== undefined) destroyBody(answer.value);
    else {
      this.#filledFor = repository;
      this.#fill = this.#begin(partial, answer.value, { isTooMuch, measured, receive });
    }
    return this.#fill;
  }

  /** Nothing is written to a disk whose free space cannot be read. */
  #measure(): Promise<MeasuredSpace | undefined> {
    const { space, writes } = this.#options;
    return space.measure().catch((error: Error) => {
      writes.failed(error);
      return undefined;
    });
  }

  async #begin(
    partial: PartialContent,
    first: BlobBody,
    { isTooMuch, measured, receive }: DownloadStart,
  ): Promise<Opened> {
    const { digest, writes, space, log } = this.#options;
    let reservation: Reservation | undefined;
    try {
      if (isTooMuch) await partial.clear();
      const wanted = { digest, size: first.size, resumeOffset: partial.resumeOffset };
      reservation = space.reserveOf(measured, wanted) ?? (await space.reserve(wanted));
    } catch (error) {
      writes.failed(asError(error));
    }
    if (reservation === undefined) {
      destroyBody(first);
      return UNWRITABLE;
    }
    const fill = new Fill({ ...receive, digest, partial, first, reservation, writes, log });
    this.#running = fill;
    void fill.ended.then(() => {
      this.#isClosed = true;
      this.#end.resolve(fill);
    });
    return ok(fill);
  }

  /**
   * Keeps the bytes of an earlier fill as long as some repository contains the digest, because another
   * repository's refusal says nothing about that.
   */
  async #refused(repository: RepositoryName, kind: Exclude<Opened['kind'], 'ok'>): Promise<void> {
    this.#openings.delete(repository);
    if (this.#openings.size > 0) return;
    this.#isClosed = true;
    const partial = await this.#partial;
    const isWanted = kind !== 'denied' || (await this.#options.isLinkedAnywhere());
    const stays = partial !== undefined && partial.resumeOffset > 0 && isWanted;
    await (stays ? partial.suspend() : partial?.discard())?.catch(() => {});
    this.#end.resolve(undefined);
  }
}

/** Drops a body, because another repository was faster and its bytes are the same. */
function destroyBody({ body }: BlobBody): void {
  body.on('error', () => {}).destroy();
}
