import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { formatSize } from '../../platform/size.ts';
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  matchesDigest,
  startHash,
} from '../../registry/digest.ts';
import type { UploadId } from '../../registry/upload-id.ts';
import { coalesceChunks } from '../pull/coalesce-chunks.ts';
import { type HostedRefusal, refuseWrite } from './refusal.ts';

/** The bytes of a chunk by `Content-Range`, both inclusive. */
export interface ChunkRange {
  readonly first: number;
  readonly last: number;
}

export interface UploadOptions {
  readonly id: UploadId;
  /** The path of the repository. */
  readonly repository: string;
  readonly subjectKey: string;
  readonly handle: FileHandle;
  readonly algorithm: DigestAlgorithm;
  readonly begunAt: number;
  readonly maxBlob: number;
  readonly maxChunks: number;
  /** The bytes between two looks at the free space of the disk. */
  readonly lookAtDiskEvery: number;
  /**
   * Reserves space for bytes before they are written, and for up to `ahead` more while there is plenty.
   * Returns the reserved number, or a refusal if there is no space for `bytes`.
   */
  readonly reserve: (bytes: number, ahead: number) => Promise<number | HostedRefusal>;
  /** Gives back space that was reserved ahead. */
  readonly release: (bytes: number) => void;
  /** The most bytes that are reserved ahead for a body of unknown length. */
  readonly reserveAhead: number;
  /** Ends the upload after a write to the disk that failed. */
  readonly failed: () => Promise<void>;
  /** Counts bytes that have been written. */
  readonly received: (bytes: number) => void;
  /** Returns why the disk cannot take these bytes too; undefined if it can. */
  readonly whyNoDisk: (bytes: number) => Promise<HostedRefusal | undefined>;
}

export interface ReceivedBody {
  readonly body: Readable;
  /** Undefined if the body is streamed without a range. */
  readonly range: ChunkRange | undefined;
  /** The length that the request announces, if it does. */
  readonly length: number | undefined;
}

const READ_SIZE = 1024 * 1024;

/**
 * A blob on its way into a repository. Its bytes are hashed while they arrive. Nobody can see them before
 * they are complete and verified.
 */
export class Upload {
  readonly id: UploadId;
  readonly repository: string;
  readonly subjectKey: string;
  readonly begunAt: number;
  touchedAt: number;
  readonly #options: UploadOptions;
  readonly #hash: Hash;
  #offset = 0;
  #chunks = 0;
  #reserved = 0;
  #isOver = false;
  #turns = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: UploadOptions) {
    this.id = options.id;
    this.repository = options.repository;
    this.subjectKey = options.subjectKey;
    this.begunAt = options.begunAt;
    this.touchedAt = options.begunAt;
    this.#options = options;
    this.#hash = createHash(options.algorithm);
  }

  get handle(): FileHandle {
    return this.#options.handle;
  }

  /** The number of bytes that have arrived. */
  get offset(): number {
    return this.#offset;
  }

  /** Returns the bytes that are reserved in the quota. The caller releases them. */
  takeReserved(): number {
    const reserved = this.#reserved;
    this.#reserved = 0;
    return reserved;
  }

  /** True if the upload was published or discarded. */
  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
  }

  /** Runs the requests of one upload one after the other, because they write one file. */
  async inTurn<T>(task: () => Promise<T>): Promise<T> {
    this.#turns++;
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#turns--;
    }
  }

  /** True while a request writes to it or waits to do so. */
  get isBusy(): boolean {
    return this.#turns > 0;
  }

  /**
   * Appends a body. A body that does not fit is refused before anything of it is read, and a body for which
   * the space ends is refused in its middle. Rejects if the body breaks off; the bytes until then stay. Also
   * rejects if the disk fails; then the upload is over.
   */
  async append({ body, range, length }: ReceivedBody): Promise<HostedRefusal | undefined> {
    const why = this.#whyUnfit(range, length);
    if (why !== undefined) return why;
    this.#chunks++;
    const announced = this.#offset + (length ?? 0);
    const refusal = (await this.#reserveTo(announced, 0)) ?? (await this.#options.whyNoDisk(length ?? 0));
    if (refusal !== undefined) return refusal;
    try {
      return await this.#receive(body);
    } finally {
      this.#releaseAhead();
    }
  }

  async #receive(body: Readable): Promise<HostedRefusal | undefined> {
    const { lookAtDiskEvery } = this.#options;
    let look = this.#offset + lookAtDiskEvery;
    for await (const bytes of coalesceChunks(body, this.#offset, 'discard')) {
      const end = this.#offset + bytes.length;
      const isDue = end > look;
      if (isDue) look = end + lookAtDiskEvery;
      const full =
        (await this.#reserveTo(end, this.#offset)) ??
        (isDue ? await this.#options.whyNoDisk(bytes.length) : undefined);
      if (full !== undefined) return full;
      const written = this.handle.writeFile(bytes);
      // Another thread writes them meanwhile.
      this.#hash.update(bytes);
      try {
        await written;
      } catch (error) {
        // The hash has bytes that the file may lack, so what follows could not match its digest.
        await this.#options.failed();
        throw error;
      }
      this.#offset += bytes.length;
      this.#options.received(bytes.length);
    }
    return undefined;
  }

  /** Resolves to true if the bytes have this digest. After this, nothing can be appended any more. */
  async matches(digest: Digest): Promise<boolean> {
    if (algorithmOf(digest) === this.#options.algorithm) return matchesDigest(this.#hash, digest);
    const hash = startHash(digest);
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, Math.max(1, this.#offset)));
    for (let at = 0; at < this.#offset; ) {
      const { bytesRead } = await this.handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return false;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return matchesDigest(hash, digest);
  }

  #whyUnfit(range: ChunkRange | undefined, length: number | undefined): HostedRefusal | undefined {
    const { maxChunks } = this.#options;
    if (this.#chunks >= maxChunks)
      return refuseWrite('DENIED', `an upload has at most ${maxChunks} chunks; send larger ones`);
    if (range === undefined) return undefined;
    if (range.first !== this.#offset) return refuseWrite('UPLOAD_OUT_OF_ORDER');
    const isWhole = length === range.last - range.first + 1;
    return isWhole ? undefined : refuseWrite('SIZE_INVALID');
  }

  /**
   * A body of unknown length reserves as many bytes ahead as have come. So it seldom asks, and a small body
   * takes little from the others.
   */
  async #reserveTo(total: number, ahead: number): Promise<HostedRefusal | undefined> {
    const { maxBlob, reserve, reserveAhead } = this.#options;
    if (total > maxBlob) return refuseWrite('DENIED', `a blob has at most ${formatSize(maxBlob)} here`);
    if (total <= this.#reserved) return undefined;
    const reserved = await reserve(total - this.#reserved, Math.min(ahead, reserveAhead));
    if (typeof reserved !== 'number') return reserved;
    if (this.#isOver) {
      // The upload ended while the database was asked, and has released what it had reserved until then.
      this.#options.release(reserved);
      return refuseWrite('BLOB_UPLOAD_UNKNOWN');
    }
    this.#reserved += reserved;
    return undefined;
  }

  /** Gives back what was reserved ahead. An upload that ended meanwhile has given back everything already. */
  #releaseAhead(): void {
    const ahead = this.#reserved - this.#offset;
    if (ahead <= 0) return;
    this.#reserved -= ahead;
    this.#options.release(ahead);
  }
}
