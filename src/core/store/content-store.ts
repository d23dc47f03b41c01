import type { Readable } from 'node:stream';
import type { BlobLocation, PartialLocation } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';

/**
 * The first interface of the store: verified content by its digest, whichever repository it was learnt in. It
 * knows nothing of repositories. The index decides whether a caller may have a digest.
 */
export interface ContentStore {
  /** Resolves to undefined if the content is not in the store. */
  find(digest: Digest): Promise<BlobLocation | undefined>;
  /** Reads small content, such as a manifest. Resolves to undefined if it is not in the store. */
  read(digest: Digest): Promise<Buffer | undefined>;
  /**
   * Opens content of any size. The stream yields all of it, even if the content is removed meanwhile, and
   * ends with an error when `signal` is aborted. Resolves to undefined if it is not in the store.
   */
  open(digest: Digest, options?: OpenOptions): Promise<Readable | undefined>;
  /** Publishes bytes that the caller has verified against the digest. */
  publish(digest: Digest, bytes: Uint8Array): Promise<void>;
  /**
   * Moves a file, whose bytes the caller has verified against the digest, into the store. Rejects if that is
   * impossible, for example because the file is on another disk.
   */
  adopt(digest: Digest, file: string): Promise<void>;
  /**
   * Opens the partial content of a digest, which may be empty. Only one fill may use it at a time, and must
   * then publish, suspend or discard it.
   */
  begin(digest: Digest): Promise<PartialContent>;
  /** Writes something and removes it again. Rejects if nothing can be written. */
  probe(): Promise<void>;
  /** Measures the space of the place where the store has its content. Rejects if that is impossible. */
  space(): Promise<StoreSpace>;
  /** Lists all content, in no particular order. */
  list(): AsyncIterable<ListedContent>;
  /** Removes content from the cache. Its current readers can continue to read. */
  remove(digest: Digest): Promise<void>;
  /** Removes partial content that is too old to be resumed. */
  clearPartials(): Promise<void>;
  /** Moves bytes that do not match their digest into quarantine, for somebody who wants to examine them. */
  quarantine(digest: Digest): Promise<void>;
}

export interface OpenOptions {
  /** The offset of the first wanted byte. */
  readonly from?: number;
  readonly signal?: AbortSignal;
}

export interface ListedContent {
  readonly digest: Digest;
  readonly size: number;
}

/** The space of a store, in bytes. */
export interface StoreSpace {
  readonly total: number;
  /** The bytes that this process may still write. */
  readonly free: number;
  /** The name of the place in messages to operators. */
  readonly place: string;
}

/** Incomplete content, which can be read while it grows. */
export interface PartialContent {
  /**
   * The place of the bytes. After `publish` and `discard` nothing is there, and those who have opened it can
   * continue to read.
   */
  readonly location: PartialLocation;
  /** The number of bytes from an earlier fill. They are not verified. */
  readonly resumeOffset: number;
  readonly size: number;
  /** Yields the bytes from the earlier fill, in order. */
  readExisting(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /**
   * Reads bytes that were appended. Resolves to undefined once the content was published, suspended or
   * discarded.
   */
  read(from: number, length: number): Promise<Buffer | undefined>;
  /**
   * Makes this the content of its digest, which the caller has verified. From then on it survives a power
   * cut.
   */
  publish(): Promise<void>;
  /** Removes the bytes from the earlier fill. */
  clear(): Promise<void>;
  /** Closes it, so that a later fill can resume. */
  suspend(): Promise<void>;
  discard(): Promise<void>;
}
