/**
 * The blobs of hosted repositories in the object store of the cluster, which has the truth. The cache of the
 * node has copies, which may be evicted at any time.
 */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Logger } from '../../../platform/log.ts';
import { type Digest, matchesDigest, startHash } from '../../../registry/digest.ts';
import type { CompleteUpload, HostedContent, StoredUpload, WantedBlob } from '../../hosted/hosted-content.ts';
import type { HostedFiles } from '../../hosted/hosted-files.ts';
import type { HostedStatements } from '../../hosted/hosted-statements.ts';
import type { HostedStep } from '../../hosted/hosted-step.ts';
import { type HostedRefusal, refuseWrite } from '../../hosted/refusal.ts';
import { CLIENT_RETRY_AFTER } from '../../limits.ts';
import type { PullOutcome, PullRefusal } from '../../pull/outcome.ts';
import type { BlobPull } from '../../pull/pull-blob.ts';
import type { PulledBlob } from '../../pull/pulled-blob.ts';
import type { OpenBlob } from '../../pull/receive-blob.ts';
import type { RecordedContent } from '../../store/recorded-content.ts';
import { ok, unavailable } from '../../upstream/upstream-result.ts';
import { HostedUploads, type HostedUploadsOptions } from './hosted-uploads.ts';

/** Tells all nodes to remove the copies of a blob that no hosted repository has any more. */
export type PurgeCopies = (digest: Digest) => Promise<void>;

export interface HostedObjectsOptions extends HostedUploadsOptions {
  /** The local directory of the uploads under way. */
  readonly files: HostedFiles;
  readonly cache: Pick<RecordedContent, 'find' | 'adopt'>;
  readonly downloads: Pick<BlobPull, 'hosted'>;
  readonly purgeCopies: PurgeCopies;
  readonly log: Logger;
}

/** The bytes that are read at once from an upload. */
const READ_SIZE = 512 * 1024;

export class HostedObjects implements HostedContent {
  readonly #options: HostedObjectsOptions;
  readonly #uploads: HostedUploads;

  constructor(options: HostedObjectsOptions) {
    this.#options = options;
    this.#uploads = new HostedUploads(options);
  }

  prepare(): Promise<void> {
    return this.#options.files.prepare();
  }

  createUpload(id: string): ReturnType<HostedFiles['createUpload']> {
    return this.#options.files.createUpload(id);
  }

  removeUpload(id: string): Promise<void> {
    return this.#options.files.removeUpload(id);
  }

  space(): ReturnType<HostedFiles['space']> {
    return this.#options.files.space();
  }

  whyNoPush(): HostedRefusal | undefined {
    const trouble = this.#options.store.trouble.current;
    return trouble === undefined ? undefined : storeAway(trouble);
  }

  /** An object that the database names already is not put again, if the store still has it. */
  async publish(upload: CompleteUpload): Promise<StoredUpload | HostedRefusal> {
    const { digest, size, signal } = upload;
    const known = await this.#uploads.find(digest, size, signal);
    if (known.kind === 'unavailable') return storeAway(known.detail);
    const put = known.kind === 'ok' ? known.value : await this.#put(upload, known.lost);
    if (put.kind === 'stored') await this.#keepCopy(upload);
    return put;
  }

  async #put(upload: CompleteUpload, lost: string | undefined): Promise<StoredUpload | HostedRefusal> {
    const { files, log } = this.#options;
    const { id, digest, signal } = upload;
    const open = async (): Promise<Readable> =>
      createReadStream(files.uploadPath(id), { highWaterMark: READ_SIZE });
    const put = await this.#uploads.put({ ...upload, open }, lost, signal);
    // The right to push may have been revoked meanwhile. The object that no row names is removed later.
    signal.throwIfAborted();
    if (put.kind === 'stored') return put;
    log.warn({ digest, reason: put.detail }, 'a push is refused, because the object store cannot be used');
    return storeAway(put.detail);
  }

  /**
   * The next pull on this node then needs no download. A disk that has no room for it is no reason to refuse.
   */
  async #keepCopy({ id, handle, digest }: CompleteUpload): Promise<void> {
    const { cache, files, log } = this.#options;
    try {
      await handle.close();
      await cache.adopt(digest, files.uploadPath(id));
    } catch (error) {
      log.debug({ digest, err: error }, 'what was pushed is not kept in the cache');
    }
  }

  async find({ repository, digest, size, requester, signal }: WantedBlob): Promise<PullOutcome<PulledBlob>> {
    const { cache, downloads, store } = this.#options;
    const location = await cache.find(digest);
    if (location !== undefined) return { kind: 'found', cache: 'hit', blob: 'stored', location };
    if (store.trouble.current !== undefined) return AWAY;
    const origin = this.#origin(digest, size);
    const outcome = await downloads.hosted(repository, digest, origin, { requester, signal });
    const isOfStore = outcome.kind === 'refused' && outcome.error !== 'TOO_MANY_DOWNLOADS';
    return isOfStore ? AWAY : outcome;
  }

  /** The key is read again for each request, because a push can replace an object that is gone. */
  #origin(digest: Digest, size: number): OpenBlob {
    const { store, log } = this.#options;
    return async (from) => {
      if (from > size) return unavailable('unfit', `the blob has ${size} bytes`);
      const key = await this.#uploads.keyOf(digest);
      if (key === undefined) return unavailable('failed', 'the blob was removed');
      // A store answers a range that is empty with an error.
      const begin = from === size ? 0 : from;
      const answer = await store.get(key, begin, this.#options.signal);
      if (answer.kind !== 'ok') return unavailable('failed', answer.detail);
      if (answer.value !== undefined)
        return ok({ from: begin, body: answer.value.body, isFree: true, size: answer.value.size });
      log.error(
        { digest, key },
        'the object store has lost a hosted blob; push it again, or restore the bucket',
      );
      return unavailable('failed', 'the object store has lost it');
    };
  }

  *forget({ change }: HostedStatements, digest: Digest): HostedStep<void> {
    yield* change.removeContent.run(digest);
  }

  /** The copies go now. The object goes an hour after its row, because other nodes may still read it. */
  remove(digest: Digest): Promise<void> {
    return this.#options.purgeCopies(digest);
  }

  /** The duty of the object store removes what no row names. */
  async *listOlder(): AsyncGenerator<Digest, void> {}

  async whyDamaged(digest: Digest, size: number): Promise<string | undefined> {
    const key = await this.#uploads.keyOf(digest);
    if (key === undefined) return 'the database names no object for it';
    const answer = await this.#options.store.get(key, 0, this.#options.signal);
    if (answer.kind !== 'ok') return `its object cannot be read: ${answer.detail}`;
    if (answer.value === undefined) return `its object ${key} is missing`;
    const { body, size: found } = answer.value;
    const hash = startHash(digest);
    try {
      for await (const chunk of body) hash.update(chunk);
    } catch (error) {
      return `its object ${key} cannot be read: ${String(error)}`;
    }
    if (found !== size) return `its object ${key} has ${found} bytes instead of ${size}`;
    return matchesDigest(hash, digest)
      ? undefined
      : `the bytes of its object ${key} are not those of its digest`;
  }
}

const AWAY: PullRefusal = { kind: 'refused', error: 'UNAVAILABLE', retryAfter: CLIENT_RETRY_AFTER.storeAway };

/** Clients such as docker push again after a 503. */
function storeAway(detail: string): HostedRefusal {
  const words = `the object store of this registry cannot be used now: ${detail}; push again later`;
  return { ...refuseWrite('UNAVAILABLE', words), retryAfter: CLIENT_RETRY_AFTER.storeAway };
}
