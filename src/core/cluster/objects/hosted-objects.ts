/**
 * The blobs of hosted repositories in the object store of the cluster, which has the truth. An upload is put
 * there before a row names it, under a key that nobody else ever uses, so a row never lacks its object. The
 * cache of the node has copies, which may be evicted at any time.
 */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { hostedObjectKey } from '../../../cluster/objects/object-key.ts';
import type { ObjectResult } from '../../../cluster/objects/object-result.ts';
import type { ObjectStore } from '../../../cluster/objects/object-store.ts';
import type { Logger } from '../../../platform/log.ts';
import { algorithmOf, type Digest, hexOf, matchesDigest, startHash } from '../../../registry/digest.ts';
import type { CompleteUpload, HostedContent, StoredUpload, WantedBlob } from '../../hosted/hosted-content.ts';
import type { HostedDatabase } from '../../hosted/hosted-database.ts';
import type { HostedFiles } from '../../hosted/hosted-files.ts';
import type { HostedStatements } from '../../hosted/hosted-statements.ts';
import type { HostedStep } from '../../hosted/hosted-step.ts';
import { type HostedRefusal, RefusedChange, refuseWrite } from '../../hosted/refusal.ts';
import { CLIENT_RETRY_AFTER } from '../../limits.ts';
import type { PullOutcome, PullRefusal } from '../../pull/outcome.ts';
import type { BlobPull } from '../../pull/pull-blob.ts';
import type { PulledBlob } from '../../pull/pulled-blob.ts';
import type { OpenBlob } from '../../pull/receive-blob.ts';
import type { RecordedContent } from '../../store/recorded-content.ts';
import { ok, unavailable } from '../../upstream/upstream-result.ts';

/** Tells all nodes to remove the copies of a blob that no hosted repository has any more. */
export type PurgeCopies = (digest: Digest) => Promise<void>;

export interface HostedObjectsOptions {
  readonly store: ObjectStore;
  /** The prefix of all keys. */
  readonly prefix: string;
  readonly database: Pick<HostedDatabase, 'read'>;
  /** The local directory of the uploads under way. */
  readonly files: HostedFiles;
  readonly cache: Pick<RecordedContent, 'find' | 'adopt'>;
  readonly downloads: Pick<BlobPull, 'hosted'>;
  readonly purgeCopies: PurgeCopies;
  /** Aborted when the node stops. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** The bytes that are read at once from an upload. */
const READ_SIZE = 512 * 1024;

export class HostedObjects implements HostedContent {
  readonly #options: HostedObjectsOptions;

  constructor(options: HostedObjectsOptions) {
    this.#options = options;
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
    const known = await this.#keyOf(digest);
    const found = known === undefined ? undefined : await this.#sizeOf(known, signal);
    if (found?.kind === 'unavailable') return storeAway(found.detail);
    if (known !== undefined && found?.value === size) {
      await this.#keepCopy(upload);
      return {
        kind: 'stored',
        record: (statements) => requireKey(statements, digest, known),
        settle: async () => {},
      };
    }
    return await this.#put(upload, known);
  }

  /** `lost` is the key that the database names although the store has nothing there. */
  async #put(upload: CompleteUpload, lost: string | undefined): Promise<StoredUpload | HostedRefusal> {
    const { store, prefix, files, log } = this.#options;
    const { id, digest, size, signal } = upload;
    const key = hostedObjectKey(prefix, digest, id);
    const sha256 = algorithmOf(digest) === 'sha256' ? hexOf(digest) : undefined;
    const open = async (): Promise<Readable> =>
      createReadStream(files.uploadPath(id), { highWaterMark: READ_SIZE });
    const put = await store.put(key, { size, sha256, open }, AbortSignal.any([signal, this.#options.signal]));
    // The right to push may have been revoked meanwhile. The object that no row names is removed later.
    signal.throwIfAborted();
    if (put.kind !== 'ok') {
      log.warn({ digest, reason: put.detail }, 'a push is refused, because the object store cannot be used');
      return storeAway(put.detail);
    }
    await this.#keepCopy(upload);
    let counting = key;
    return {
      kind: 'stored',
      *record(statements) {
        counting = yield* recordKey(statements, { digest, size, key, lost });
      },
      settle: async (outcome) => {
        // Nothing names it, or another push of the same bytes came first.
        if (outcome === 'refused' || counting !== key) await this.#remove(key);
      },
    };
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
      const key = await this.#keyOf(digest);
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
    const key = await this.#keyOf(digest);
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

  async #keyOf(digest: Digest): Promise<string | undefined> {
    const row = await this.#options.database.read((select) => select.content.get(digest));
    return row?.object ?? undefined;
  }

  #sizeOf(key: string, signal: AbortSignal): Promise<ObjectResult<number | undefined>> {
    return this.#options.store.size(key, signal);
  }

  /** An object that stays is removed by the duty of the object store. */
  async #remove(key: string): Promise<void> {
    await this.#options.store.remove(key, this.#options.signal);
  }
}

const AWAY: PullRefusal = { kind: 'refused', error: 'UNAVAILABLE', retryAfter: CLIENT_RETRY_AFTER.storeAway };

/** Clients such as docker push again after a 503. */
function storeAway(detail: string): HostedRefusal {
  const words = `the object store of this registry cannot be used now: ${detail}; push again later`;
  return { ...refuseWrite('UNAVAILABLE', words), retryAfter: CLIENT_RETRY_AFTER.storeAway };
}

interface PutKey {
  readonly digest: Digest;
  readonly size: number;
  readonly key: string;
  /** The key that was named before, although the store has nothing there. */
  readonly lost: string | undefined;
}

/** Returns the key that counts. It is another one if another push of the same bytes came first. */
function* recordKey(
  { select, change }: HostedStatements,
  { digest, size, key, lost }: PutKey,
): HostedStep<string> {
  if (lost !== undefined && (yield* select.content.get(digest))?.object === lost)
    yield* change.removeContent.run(digest);
  yield* change.putContent.run(digest, size, key);
  return (yield* select.content.get(digest))?.object ?? key;
}

/** @throws RefusedChange if the object was given up meanwhile, because no repository had the blob any more */
function* requireKey({ select }: HostedStatements, digest: Digest, key: string): HostedStep<void> {
  if ((yield* select.content.get(digest))?.object !== key)
    throw new RefusedChange('UNAVAILABLE', 'this blob was just removed; push it again');
}
