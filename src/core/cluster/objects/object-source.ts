/** Reads blobs from the object store of the cluster. */
import { LRUCache } from 'lru-cache';
import type { ObjectContent, ObjectStore } from '../../../cluster/objects/object-store.ts';
import type { StoredObject, StoredObjects } from '../../../cluster/objects/stored-objects.ts';
import type { Logger } from '../../../platform/log.ts';
import type { Digest } from '../../../registry/digest.ts';

export interface ObjectSourceOptions {
  readonly store: ObjectStore;
  readonly objects: StoredObjects;
  readonly log: Logger;
}

/** The most digests that a node keeps in memory because the store has them. */
const MAX_REMEMBERED = 10_000;

export class ObjectSource {
  readonly #options: ObjectSourceOptions;
  readonly #seen = new LRUCache<Digest, true>({ max: MAX_REMEMBERED });
  readonly #ending = new AbortController();

  constructor(options: ObjectSourceOptions) {
    this.#options = options;
  }

  /** True if a download of this node has found the content in the store. */
  hasSeen(digest: Digest): boolean {
    return this.#seen.has(digest);
  }

  /**
   * Resolves to an object, unless there is none or the store is away.
   * @throws DatabaseUnavailable
   */
  async find(digest: Digest): Promise<StoredObject | undefined> {
    const { store, objects } = this.#options;
    return store.trouble.current === undefined ? objects.find(digest) : undefined;
  }

  /**
   * Opens an object from the offset `from` on. Resolves to undefined if it cannot be had now.
   * @throws DatabaseUnavailable
   */
  async open(object: StoredObject, from: number): Promise<ObjectContent | undefined> {
    const { store, objects, log } = this.#options;
    const { digest, key } = object;
    const answer = await store.get(key, from, this.#ending.signal);
    if (answer.kind !== 'ok') {
      log.debug({ digest, reason: answer.detail }, 'an object cannot be read');
      return undefined;
    }
    const content = answer.value;
    if (content === undefined) {
      await this.drop(object, 'the object store has lost content, which is fetched again');
      return undefined;
    }
    await objects.use([digest]);
    this.#seen.set(digest, true);
    return content;
  }

  /** Forgets an object, because it is gone or wrong. */
  async drop(object: StoredObject, why: string): Promise<void> {
    const { objects, log } = this.#options;
    log.error({ digest: object.digest, key: object.key }, why);
    this.#seen.delete(object.digest);
    await objects.drop(object);
  }

  /** Ends what is being read. */
  end(): void {
    this.#ending.abort(new Error('the node is stopping'));
  }
}
