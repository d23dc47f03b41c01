/**
 * The blobs of the hosted repositories, and the uploads on their way to them. `HostedFiles` keeps them on the
 * local disk, and `HostedObjects` in the object store of a cluster. Neither knows anything of repositories:
 * the database says which of them have a blob.
 */
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import type { PullOutcome } from '../pull/outcome.ts';
import type { PulledBlob } from '../pull/pulled-blob.ts';
import type { Requester } from '../upstream/requester.ts';
import type { HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
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

/** The bytes of an upload that survive a power cut, and that no row names yet. */
export interface StoredUpload {
  readonly kind: 'stored';
  /** Names the bytes. It is a part of the change that links the blob. */
  record(statements: HostedStatements): HostedStep<void>;
  /**
   * Removes bytes that nothing names. It is called after the change was committed or refused, and not if
   * nobody knows which.
   */
  settle(outcome: 'committed' | 'refused'): Promise<void>;
}

/** A blob that the database names, and who wants it. */
export interface WantedBlob {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly size: number;
  readonly requester: Requester;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface HostedContent {
  /** Makes everything ready for publications, and removes the uploads of an earlier run. */
  prepare(): Promise<void>;
  createUpload(id: string): Promise<FileHandle>;
  removeUpload(id: string): Promise<void>;
  /** Returns why nothing can be published now; undefined if it can. */
  whyNoPush(): HostedRefusal | undefined;
  /**
   * Makes an upload the blob of its digest, which the caller has verified. Resolves to a refusal if it cannot
   * be kept now.
   */
  publish(upload: CompleteUpload): Promise<StoredUpload | HostedRefusal>;
  find(wanted: WantedBlob): Promise<PullOutcome<PulledBlob>>;
  /**
   * Forgets where the bytes are. It is a part of the change that finds that no repository has the blob any
   * more.
   */
  forget(statements: HostedStatements, digest: Digest): HostedStep<void>;
  /** Removes the bytes after that change. */
  remove(digest: Digest): Promise<void>;
  /** Lists the digests of the blobs that were published before `time`. */
  listOlder(time: number): AsyncIterable<Digest>;
  /** Returns what is wrong with a blob; undefined if it is whole. */
  whyDamaged(digest: Digest, size: number): Promise<string | undefined>;
  /** Returns the bytes of the disk that takes the uploads, and those that are free. */
  space(): Promise<{ readonly total: number; readonly free: number }>;
}
