/**
 * Puts the content that this node has downloaded into the object store. A row in the database is made when
 * its object is there, and only by the node that has the lease.
 */
import type { Leases } from '../../../cluster/leases.ts';
import { objectKey } from '../../../cluster/objects/object-key.ts';
import type { ObjectUpload } from '../../../cluster/objects/object-parts.ts';
import type { ObjectStore } from '../../../cluster/objects/object-store.ts';
import type { StoredObjects } from '../../../cluster/objects/stored-objects.ts';
import { DatabaseUnavailable } from '../../../platform/database-unavailable.ts';
import type { Logger } from '../../../platform/log.ts';
import { runPeriodically } from '../../../platform/scheduling/periodic-task.ts';
import { algorithmOf, type Digest, hexOf } from '../../../registry/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { PendingUploads } from '../../store/pending-uploads.ts';
import type { RecordedContent } from '../../store/recorded-content.ts';
import { UPLOADS } from '../limits.ts';

export interface ObjectUploadsOptions {
  readonly store: ObjectStore;
  readonly objects: StoredObjects;
  readonly leases: Leases;
  readonly pending: PendingUploads;
  readonly content: Pick<RecordedContent, 'peek'> & Pick<ContentStore, 'open'>;
  /** The name of this node, and what all keys begin with. */
  readonly node: string;
  readonly prefix: string;
  readonly log: Logger;
}

export class ObjectUploads implements AsyncDisposable {
  readonly #options: ObjectUploadsOptions;
  readonly #running = new Map<Digest, Promise<void>>();
  /** The time before which content is not tried again, and the pause after the next failure. */
  readonly #failed = new Map<Digest, { readonly until: number; readonly pause: number }>();
  readonly #stopping = new AbortController();
  readonly #retrying: AsyncDisposable;
  #reported = -1;

  constructor(options: ObjectUploadsOptions) {
    this.#options = options;
    options.pending.onAdded = (digest) => this.#start(digest);
    this.#retrying = runPeriodically(UPLOADS.retryEvery, async () => void (await this.#retry()), options.log);
    this.#startAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the node is stopping'));
    await this.#retrying[Symbol.asyncDispose]();
    await Promise.all(this.#running.values());
  }

  async #retry(): Promise<void> {
    this.#startAll();
    const { objects, pending, node } = this.#options;
    const { size } = pending.digests;
    if (size === this.#reported) return;
    try {
      await objects.putPending(node, size);
      this.#reported = size;
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
    }
  }

  #startAll(): void {
    const { store, pending } = this.#options;
    if (store.trouble.current !== undefined) return;
    for (const digest of pending.digests) {
      if (this.#running.size >= UPLOADS.atOnce) return;
      this.#start(digest);
    }
  }

  /** Starts an upload if there is a place. Otherwise it starts when another one has ended. */
  #start(digest: Digest): void {
    const { store, log } = this.#options;
    if (this.#stopping.signal.aborted || this.#running.has(digest) || this.#running.size >= UPLOADS.atOnce)
      return;
    if (store.trouble.current !== undefined) return;
    if ((this.#failed.get(digest)?.until ?? 0) > performance.now()) return;
    const running = this.#upload(digest).then(
      (isDone) => this.#ended(digest, isDone),
      (error: Error) => {
        if (!(error instanceof DatabaseUnavailable))
          log.error({ digest, err: error }, 'content cannot be put into the object store');
        this.#ended(digest, false);
      },
    );
    this.#running.set(digest, running);
  }

  #ended(digest: Digest, isDone: boolean): void {
    this.#running.delete(digest);
    if (isDone) this.#failed.delete(digest);
    else {
      const { pause } = this.#failed.get(digest) ?? { pause: UPLOADS.retryEvery };
      this.#failed.set(digest, {
        until: performance.now() + pause,
        pause: Math.min(2 * pause, UPLOADS.longestPause),
      });
    }
    this.#startAll();
  }

  /**
   * Resolves to true if nothing remains to be done.
   * @throws DatabaseUnavailable
   */
  async #upload(digest: Digest): Promise<boolean> {
    const { objects, leases, pending, content } = this.#options;
    const lease = `upload ${digest}`;
    if ((await objects.find(digest)) !== undefined) return this.#done(digest);
    const taken = await leases.take(lease);
    if (taken.kind === 'elsewhere') return false;
    await using held = taken;
    // Another node may have put it between the look and the lease.
    if ((await objects.find(digest)) !== undefined) return this.#done(digest);
    const found = await content.peek(digest);
    if (found === undefined) {
      // It was evicted, so another download brings it.
      await pending.remove(digest);
      return true;
    }
    const open: ObjectUpload['open'] = async () => {
      const stream = await content.open(digest);
      if (stream === undefined) throw new Error('the content is gone');
      return stream;
    };
    const sha256 = algorithmOf(digest) === 'sha256' ? hexOf(digest) : undefined;
    return await this.#put(digest, { size: found.size, sha256, open }, { lease, ...held });
  }

  async #put(
    digest: Digest,
    upload: ObjectUpload,
    { lease, fence, lost }: { readonly lease: string; readonly fence: number; readonly lost: AbortSignal },
  ): Promise<boolean> {
    const { store, objects, prefix, log } = this.#options;
    const key = objectKey(prefix, digest, fence);
    const signal = AbortSignal.any([this.#stopping.signal, lost]);
    const answer = await store.put(key, upload, signal);
    if (answer.kind !== 'ok') {
      log.debug({ digest, reason: answer.detail }, 'content is put into the object store later');
      return false;
    }
    if (await objects.publish({ digest, key, size: upload.size, lease, fence })) return this.#done(digest);
    // Another node has the lease, and puts an object of its own.
    await store.remove(key, this.#stopping.signal);
    return false;
  }

  async #done(digest: Digest): Promise<true> {
    await this.#options.pending.remove(digest);
    return true;
  }
}
