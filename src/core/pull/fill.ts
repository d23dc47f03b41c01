import { type Hash, randomUUID } from 'node:crypto';
import type { Logger } from '../../platform/log.ts';
import { asError } from '../../platform/reason.ts';
import type { FillProgressLine, PartialLocation } from '../../protocol/core-api.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import { NoSpace, type Reservation } from '../eviction/cache-space.ts';
import { FILL_PLACES } from '../limits.ts';
import type { PartialContent } from '../store/content-store.ts';
import type { BlobBody } from '../upstream/read-blob.ts';
import type { CacheWrites } from './cache-writes.ts';
import { type ReceiveOptions, RepositoryRefused, receiveBlob } from './receive-blob.ts';

export interface FillOptions extends ReceiveOptions {
  readonly digest: Digest;
  /** The partial content, which has the bytes of an earlier fill and receives the rest. */
  readonly partial: PartialContent;
  /** The answer to the request for the rest. */
  readonly first: BlobBody;
  /** The reserved space, which the fill releases. */
  readonly reservation: Reservation;
  readonly log: Logger;
  readonly writes: CacheWrites;
}

/**
 * Thrown by a fill if the cache cannot be read or written, so that the failure is not blamed on the upstream.
 */
class CacheFault extends Error {
  override readonly name = 'CacheFault';

  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

class WrongBytes extends Error {
  override readonly name = 'WrongBytes';
}

/**
 * One download of one digest into the cache. It belongs to the cache and to no reader: readers come late and
 * leave early, and it continues. Bytes are hashed once, in order, and the cache owns them only if the digest
 * is right.
 */
export class Fill {
  readonly id = randomUUID();
  readonly digest: Digest;
  /** The place where readers read its bytes. */
  readonly location: PartialLocation;
  /** Settles when the fill has ended, either way. */
  readonly ended: Promise<void>;
  readonly #options: FillOptions;
  #progress: FillProgressLine;
  #changed = Promise.withResolvers<void>();
  #isUnpublished = false;
  #isWrong = false;
  readonly #begunAt = performance.now();
  readonly #givingWay = new AbortController();
  #readers = 0;

  constructor(options: FillOptions) {
    const { digest, partial } = options;
    this.digest = digest;
    this.location = partial.location;
    this.#options = { ...options, signal: AbortSignal.any([options.signal, this.#givingWay.signal]) };
    this.#progress = { kind: 'filling', written: partial.resumeOffset };
    this.ended = this.#run();
  }

  /**
   * True if no further reader can begin. A caller that asks for the digest then waits for `ended` and asks
   * again.
   */
  get hasFailed(): boolean {
    return this.#isUnpublished || this.#progress.kind === 'failed' || this.#progress.kind === 'interrupted';
  }

  /** True if the bytes that were received are not what their digest says. */
  get isWrong(): boolean {
    return this.#isWrong;
  }

  /** The bytes that have arrived. */
  get written(): number {
    const progress = this.#progress;
    if (progress.kind === 'verified') return progress.size;
    return progress.kind === 'filling' ? progress.written : 0;
  }

  /** Undefined while the size is unknown, because the upstream does not announce it. */
  get size(): number | undefined {
    return this.#progress.kind === 'verified' ? this.#progress.size : this.#options.first.size;
  }

  /**
   * True if the fill has no reader. A fill that has just begun does not count, because its first reader is on
   * the way.
   */
  get isAbandoned(): boolean {
    return this.#readers === 0 && performance.now() - this.#begunAt > FILL_PLACES.abandonedAfter;
  }

  /** Reads bytes that have arrived. Resolves to undefined once the cache has them or has dropped them. */
  read(from: number, length: number): Promise<Buffer | undefined> {
    return this.#options.partial.read(from, length);
  }

  /** Counts a reader until the caller calls the returned function. */
  enter(): () => void {
    this.#readers++;
    return () => {
      this.#readers--;
    };
  }

  /**
   * Ends the fill, because others wait for a place and nobody reads it. The bytes that have arrived stay for
   * the next fill.
   */
  giveWay(): void {
    this.#givingWay.abort();
  }

  /** Yields the progress now, and again whenever it has changed since the reader last looked, to the end. */
  async *progress(): AsyncGenerator<FillProgressLine, void> {
    let seen: FillProgressLine | undefined;
    for (;;) {
      if (this.#progress === seen) await this.#changed.promise;
      seen = this.#progress;
      yield seen;
      if (seen.kind !== 'filling') return;
    }
  }

  #advance(progress: FillProgressLine): void {
    this.#progress = progress;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #run(): Promise<void> {
    const hash = startHash(this.digest);
    const brokeOff = await this.#receive(hash).then(
      () => undefined,
      (error: Error) => error,
    );
    this.#options.first.body.destroy();
    this.#options.reservation[Symbol.dispose]();
    // If an upstream announces too large a size, the download breaks off although the blob is complete. Bytes
    // that could not be written are hashed too, hence the first condition.
    if (!isOfCache(brokeOff) && matchesDigest(hash, this.digest)) await this.#publish();
    else await this.#fail(brokeOff ?? new WrongBytes('the bytes are not what their digest says'));
  }

  async #receive(hash: Hash): Promise<void> {
    const { partial, first } = this.#options;
    for await (const bytes of orCacheFault(partial.readExisting())) hash.update(bytes);
    for await (const bytes of receiveBlob(first, partial.resumeOffset, this.#options)) {
      const appended = partial.append(bytes).catch((error: Error) => {
        throw new CacheFault(error);
      });
      // Another thread writes them meanwhile.
      hash.update(bytes);
      await appended;
      await this.#options.reservation.wrote(bytes.length).catch((error: Error) => {
        throw error instanceof NoSpace ? error : new CacheFault(error);
      });
      this.#advance({ kind: 'filling', written: partial.size });
    }
  }

  async #publish(): Promise<void> {
    const { partial, first, writes } = this.#options;
    // Readers that know another size cannot get this blob. Later ones can.
    const isAsAnnounced = first.size === undefined || first.size === partial.size;
    // The readers need only verified bytes. Whether the bytes survive a power cut concerns the cache alone.
    this.#advance(isAsAnnounced ? { kind: 'verified', size: partial.size } : { kind: 'failed' });
    try {
      await partial.publish();
    } catch (error) {
      this.#isUnpublished = true;
      writes.failed(asError(error));
      writes.passed();
      await partial.discard();
    }
  }

  /**
   * Ends the fill with an error. The received bytes stay for a later fill, unless they are wrong or take the
   * space that is lacking.
   */
  async #fail(error: Error): Promise<void> {
    const { partial, signal, log, writes } = this.#options;
    this.#isWrong = error instanceof WrongBytes;
    if (error instanceof CacheFault) writes.failed(error);
    else if (!signal.aborted) log.error({ digest: this.digest, reason: error.message }, 'a fill failed');
    // Readers from other repositories ask again, each under their own scope.
    const goesOnElsewhere = isOfCache(error) || error instanceof RepositoryRefused || signal.aborted;
    this.#advance({ kind: goesOnElsewhere ? 'interrupted' : 'failed' });
    await (isOfCache(error) || error instanceof WrongBytes ? partial.discard() : partial.suspend());
  }
}

/** True if the cache is the cause, so that the bytes can still be passed on without caching. */
function isOfCache(error: Error | undefined): boolean {
  return error instanceof CacheFault || error instanceof NoSpace;
}

async function* orCacheFault<T>(items: AsyncIterable<T>): AsyncGenerator<T, void> {
  try {
    yield* items;
  } catch (error) {
    throw new CacheFault(asError(error));
  }
}
