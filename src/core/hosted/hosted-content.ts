/**
 * The blobs of the hosted repositories, and the uploads on their way to them. `HostedFiles` keeps them on the local
 * disk. It knows nothing of repositories: the database says which of them have a blob.
 */
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../../registry/digest.ts';
import type { PullOutcome } from '../pull/outcome.ts';
import type { PulledBlob } from '../pull/pulled-blob.ts';
import type { HostedRefusal } from './refusal.ts';

/** An upload that is complete and verified. */
export interface CompleteUpload {
  readonly id: string;
  readonly handle: FileHandle;
  readonly digest: Digest;
  readonly size: number;
  /** Aborted when the client has gone, or may not push any more. */
  readonly signal: AbortSignal;
}

export interface HostedContent {
  /** Makes everything ready for publications, and removes the uploads of an earlier run. */
  prepare(): Promise<void>;
  createUpload(id: string): Promise<FileHandle>;
  removeUpload(id: string): Promise<void>;
  /**
   * Makes an upload the blob of its digest, which the caller has verified. From then on the blob survives a
   * power cut. Resolves to a refusal if it cannot be kept now.
   */
  publish(upload: CompleteUpload): Promise<HostedRefusal | undefined>;
  /** Finds a blob that the database names. */
  find(digest: Digest, size: number): Promise<PullOutcome<PulledBlob>>;
  /** Removes a blob that no row names. */
  remove(digest: Digest): Promise<void>;
  /** Lists the digests of the blobs that were published before `time`. */
  listOlder(time: number): AsyncIterable<Digest>;
  /** Returns what is wrong with a blob; undefined if it is whole. */
  whyDamaged(digest: Digest, size: number): Promise<string | undefined>;
  /** Returns the bytes of the disk that takes the uploads, and those that are free. */
  space(): Promise<{ readonly total: number; readonly free: number }>;
}
