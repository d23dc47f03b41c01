import type { Digest } from '../../registry/digest.ts';

/**
 * The first face of the store: verified content by its digest, whichever repository it was learnt in. It knows nothing
 * of repositories; whether a caller may have a digest is the index' to say.
 */
export interface ContentStore {
  /** Undefined where the content is not here. */
  find(digest: Digest): Promise<StoredContent | undefined>;
  /** For content that is small by its kind: manifests. */
  read(digest: Digest): Promise<Buffer | undefined>;
  /** Publishes bytes that the caller has verified against the digest. */
  publish(digest: Digest, bytes: Uint8Array): Promise<void>;
  /**
   * The partial content of a digest: what an earlier fill has left, or nothing yet. To be filled by one at a time, and then
   * published, left or discarded.
   */
  begin(digest: Digest): Promise<PartialContent>;
  /** Writes a file and removes it again. Rejects if nothing can be written. */
  probe(): Promise<void>;
  /** Every content that there is, in no order. */
  list(): AsyncIterable<ListedContent>;
  /** Takes it from the cache. Who reads it goes on to read. */
  remove(digest: Digest): Promise<void>;
  /** Clears away what broke off so long ago that no fill goes on with it. */
  clearPartials(): Promise<void>;
  /** Takes bytes that are not their digest's from the cache, and keeps them for whoever wants to know why. */
  setAside(digest: Digest): Promise<void>;
}

export interface ListedContent {
  readonly digest: Digest;
  readonly size: number;
}

export interface StoredContent {
  /** Relative to the cache's directory. */
  readonly file: string;
  readonly size: number;
}

/** Content that is not whole yet. Its file can be read while it grows. */
export interface PartialContent {
  /** Relative to the cache's directory; gone after `publish` and `discard`, while open descriptors go on to work. */
  readonly file: string;
  /** Bytes that an earlier fill has left; they are not verified. */
  readonly left: number;
  readonly size: number;
  /** What was left, in order. */
  leftover(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Makes it the content of its digest, which the caller has verified. It survives a power cut from then on. */
  publish(): Promise<void>;
  /** Takes back what was left. */
  clear(): Promise<void>;
  /** Closes it, for a later fill to go on with. */
  leave(): Promise<void>;
  discard(): Promise<void>;
}
