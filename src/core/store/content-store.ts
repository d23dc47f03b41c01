import type { Digest } from '../../registry/digest.ts';

/**
 * The first interface of the store: verified content by its digest, whichever repository it was learnt in. It
 * knows nothing of repositories. The index decides whether a caller may have a digest.
 */
export interface ContentStore {
  /** Resolves to undefined if the content is not in the store. */
  find(digest: Digest): Promise<StoredContent | undefined>;
  /** Reads small content, such as a manifest. */
  read(digest: Digest): Promise<Buffer | undefined>;
  /** Publishes bytes that the caller has verified against the digest. */
  publish(digest: Digest, bytes: Uint8Array): Promise<void>;
  /**
   * Opens the partial content of a digest, which may be empty. Only one fill may use it at a time, and must
   * then publish, leave or discard it.
   */
  begin(digest: Digest): Promise<PartialContent>;
  /** Writes a file and removes it again. Rejects if nothing can be written. */
  probe(): Promise<void>;
  /** Lists all content, in no particular order. */
  list(): AsyncIterable<ListedContent>;
  /** Removes content from the cache. Its current readers can continue to read. */
  remove(digest: Digest): Promise<void>;
  /** Removes partial content that is too old to be resumed. */
  clearPartials(): Promise<void>;
  /** Moves bytes that do not match their digest into quarantine, for somebody who wants to examine them. */
  quarantine(digest: Digest): Promise<void>;
}

export interface ListedContent {
  readonly digest: Digest;
  readonly size: number;
}

export interface StoredContent {
  /** The path relative to the cache's directory. */
  readonly file: string;
  readonly size: number;
}

/** Incomplete content. Its file can be read while it grows. */
export interface PartialContent {
  /**
   * The path relative to the cache's directory. After `publish` and `discard` it is gone, but open
   * descriptors still work.
   */
  readonly file: string;
  /** The number of bytes from an earlier fill. They are not verified. */
  readonly resumeOffset: number;
  readonly size: number;
  /** Yields the bytes from the earlier fill, in order. */
  readExisting(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
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
