import type { Readable } from 'node:stream';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { BlobLocation, PartialLocation } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type {
  ContentStore,
  ListedContent,
  OpenOptions,
  PartialContent,
  StoreSpace,
} from './content-store.ts';
import type { IndexStore } from './index-store.ts';
import type { PendingUploads } from './pending-uploads.ts';

/** Content in the store, with what the index has recorded about its bytes. */
export interface FoundContent {
  readonly location: BlobLocation;
  /** The type of manifest that the bytes were judged to be; undefined until they are judged. */
  readonly manifestType?: ManifestMediaType;
}

/** The manifests that the nodes of a cluster share. */
export interface SharedContent {
  /** Resolves to bytes that match the digest. */
  read(digest: Digest): Promise<Uint8Array | undefined>;
  put(digest: Digest, bytes: Uint8Array): Promise<void>;
}

/** The parts that a store has only in a cluster. */
interface OfCluster {
  readonly manifests?: SharedContent | undefined;
  readonly uploads?: PendingUploads | undefined;
}

/**
 * Content with a record of it in the index: its size, with which it is compared at each request, and its last
 * use. Uses are stored in batches, so that a hit costs no write.
 */
export class RecordedContent implements ContentStore {
  readonly #content: ContentStore;
  readonly #index: IndexStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #shared: SharedContent | undefined;
  readonly #uploads: PendingUploads | undefined;
  /** Called when the store has received new content. */
  onPublished: (() => void) | undefined;
  #uses = new Map<Digest, number>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(
    content: ContentStore,
    index: IndexStore,
    clock: Clock,
    log: Logger,
    { manifests, uploads }: OfCluster = {},
  ) {
    this.#content = content;
    this.#index = index;
    this.#clock = clock;
    this.#log = log;
    this.#shared = manifests;
    this.#uploads = uploads;
  }

  async find(digest: Digest): Promise<BlobLocation | undefined> {
    return (await this.findTyped(digest))?.location;
  }

  /** Finds content and the type of manifest that it was judged to be. */
  async findTyped(digest: Digest): Promise<FoundContent | undefined> {
    const found =
      (await this.#unlessBroken(digest, this.#content.find(digest))) ?? (await this.#findShared(digest));
    if (found === undefined) return undefined;
    const entry = await this.#index.content(digest);
    if (entry === undefined) await this.#learn({ digest, size: found.size });
    else if (entry.size !== found.size) {
      await this.#unlessBroken(digest, this.quarantine(digest));
      return undefined;
    }
    this.#uses.set(digest, this.#clock());
    const manifestType = entry?.manifestType;
    return { location: found, ...(manifestType && { manifestType }) };
  }

  /** Copies a manifest that another node has fetched to this one. */
  async #findShared(digest: Digest): Promise<BlobLocation | undefined> {
    const bytes = await this.#shared?.read(digest);
    if (bytes === undefined) return undefined;
    const copy = async () => {
      await this.publish(digest, bytes);
      return this.#content.find(digest);
    };
    // A node that cannot write its disk fetches the manifest itself, as it would without the others.
    return this.#unlessBroken(digest, copy());
  }

  /** Records a use by somebody who knows the place of the content. */
  used(digest: Digest): void {
    this.#uses.set(digest, this.#clock());
  }

  /** Finds content without counting that as a use. */
  peek(digest: Digest): Promise<BlobLocation | undefined> {
    return this.#content.find(digest);
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    return (await this.find(digest)) === undefined ? undefined : this.readFound(digest);
  }

  /** Reads the bytes of content that was just found. */
  readFound(digest: Digest): Promise<Buffer | undefined> {
    return this.#unlessBroken(digest, this.#content.read(digest));
  }

  /** Opens content without counting that as a use. */
  open(digest: Digest, options?: OpenOptions): Promise<Readable | undefined> {
    return this.#content.open(digest, options);
  }

  /** Treats content that cannot be read or quarantined as absent, so that it is fetched again. */
  async #unlessBroken<T>(digest: Digest, task: Promise<T>): Promise<T | undefined> {
    try {
      return await task;
    } catch (error) {
      this.#log.error({ digest, err: error }, 'content in the cache cannot be used');
      return undefined;
    }
  }

  /** `manifestType` is set for a manifest that was judged. */
  async publish(digest: Digest, bytes: Uint8Array, manifestType?: ManifestMediaType): Promise<void> {
    await this.#content.publish(digest, bytes);
    await this.#published(digest, bytes.length, manifestType);
    if (manifestType !== undefined) await this.#shared?.put(digest, bytes);
  }

  async adopt(digest: Digest, file: string): Promise<void> {
    await this.#content.adopt(digest, file);
    const found = await this.#content.find(digest);
    if (found !== undefined) await this.#published(digest, found.size);
  }

  /** `isInObjectStore` is true if the object store of the cluster has the content already. */
  async begin(digest: Digest, { isInObjectStore = false } = {}): Promise<PartialContent> {
    const partial = await this.#content.begin(digest);
    const publish = async () => {
      if (!isInObjectStore) await this.#uploads?.expect(digest);
      await partial.publish();
      await this.#published(digest, partial.size);
      this.#uploads?.published(digest);
    };
    return new RecordedPartial(partial, publish);
  }

  probe(): Promise<void> {
    return this.#content.probe();
  }

  space(): Promise<StoreSpace> {
    return this.#content.space();
  }

  list(): AsyncIterable<ListedContent> {
    return this.#content.list();
  }

  async remove(digest: Digest): Promise<void> {
    await this.#content.remove(digest);
    this.#uses.delete(digest);
    await this.#index.removeContent(digest);
  }

  async quarantine(digest: Digest): Promise<void> {
    this.#log.error(
      { digest },
      'content in the cache is wrong; set aside, and fetched again when it is asked for',
    );
    await this.#content.quarantine(digest);
    await this.#index.removeContent(digest);
  }

  clearPartials(): Promise<void> {
    return this.#content.clearPartials();
  }

  /**
   * Stores the uses since the last call. When it resolves, all uses are stored, including those of an earlier
   * call that was still running.
   */
  flushUses(): Promise<void> {
    const flush = async () => {
      const uses = this.#uses;
      this.#uses = new Map();
      if (uses.size > 0) await this.#index.touch(uses);
    };
    this.#flushing = this.#flushing.then(flush, flush);
    return this.#flushing;
  }

  /** Records content that the index does not know, for example after the index was lost. */
  async relearn(signal: AbortSignal): Promise<void> {
    for await (const listed of this.#content.list()) {
      if (signal.aborted) return;
      if ((await this.#index.content(listed.digest)) === undefined) await this.#learn(listed);
    }
  }

  #learn({ digest, size }: ListedContent): Promise<void> {
    return this.#index.putContent(digest, { size, usedAt: this.#clock(), checkedAt: 0 });
  }

  async #published(digest: Digest, size: number, manifestType?: ManifestMediaType): Promise<void> {
    const now = this.#clock();
    const entry = { size, usedAt: now, checkedAt: now, ...(manifestType && { manifestType }) };
    await this.#index.putContent(digest, entry);
    this.onPublished?.();
  }
}

/** Partial content that is recorded when it is published. */
class RecordedPartial implements PartialContent {
  readonly location: PartialLocation;
  readonly #partial: PartialContent;
  readonly #publish: () => Promise<void>;

  constructor(partial: PartialContent, publish: () => Promise<void>) {
    this.location = partial.location;
    this.#partial = partial;
    this.#publish = publish;
  }

  get resumeOffset(): number {
    return this.#partial.resumeOffset;
  }

  get size(): number {
    return this.#partial.size;
  }

  readExisting(): AsyncIterable<Uint8Array> {
    return this.#partial.readExisting();
  }

  append(bytes: Uint8Array): Promise<void> {
    return this.#partial.append(bytes);
  }

  read(from: number, length: number): Promise<Buffer | undefined> {
    return this.#partial.read(from, length);
  }

  publish(): Promise<void> {
    return this.#publish();
  }

  clear(): Promise<void> {
    return this.#partial.clear();
  }

  suspend(): Promise<void> {
    return this.#partial.suspend();
  }

  discard(): Promise<void> {
    return this.#partial.discard();
  }
}
