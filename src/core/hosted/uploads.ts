import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { DigestAlgorithm } from '../../registry/digest.ts';
import { newUploadId, type UploadId, type UploadOwner } from '../../registry/upload-id.ts';
import { CLIENT_RETRY_AFTER } from '../limits.ts';
import type { HostedContent } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { UploadLimits } from './limits.ts';
import { type NamespaceRules, namespaceOf } from './namespace.ts';
import type { Quotas } from './quota.ts';
import { type HostedRefusal, refuseWrite } from './refusal.ts';
import { Upload } from './upload.ts';

export interface UploadsOptions {
  readonly database: HostedDatabase;
  readonly content: HostedContent;
  readonly quotas: Quotas;
  readonly namespaces: readonly NamespaceRules[];
  readonly limits: UploadLimits;
  /** The end of the ids of all uploads; absent if there is only one node. */
  readonly owner?: UploadOwner | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The caller that begins or continues an upload. */
export interface Uploader {
  /** The path of the repository. */
  readonly repository: string;
  /** The same text for all requests of one subject. */
  readonly subjectKey: string;
}

/**
 * The uploads under way. They are in memory, because clients do not continue an upload after this process has
 * ended: they begin it again. The files of an earlier run are removed at the start.
 */
export class Uploads implements AsyncDisposable {
  readonly #options: UploadsOptions;
  readonly #open = new Map<UploadId, Upload>();
  /** The bytes that came for each namespace since the start, whether they were published or not. */
  readonly #received = new Map<string, number>();
  readonly #sweeping: AsyncDisposable;
  /** The uploads whose files are being created. */
  #beginning: Uploader[] = [];
  /** The uploads that ended with a refusal, with the oldest first. */
  readonly #refused = new Map<UploadId, Uploader & { readonly refusal: HostedRefusal }>();
  /** Called when an upload has ended. */
  readonly #waiting = new Set<() => void>();

  constructor(options: UploadsOptions) {
    this.#options = options;
    const { limits, log } = options;
    this.#sweeping = runPeriodically(limits.sweepEvery, async () => void (await this.sweep()), log);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Returns the bytes that came for a namespace since the start, whether they were published or not. */
  receivedFor({ name }: NamespaceRules): number {
    return this.#received.get(name) ?? 0;
  }

  /** Begins an upload. If there are too many, it first waits for the end of another one. */
  async begin(
    by: Uploader,
    algorithm: DigestAlgorithm,
    signal: AbortSignal,
  ): Promise<Upload | HostedRefusal> {
    const { database, content, quotas, limits, owner, clock } = this.#options;
    const full =
      content.whyNoPush() ??
      (await database.read((select) => quotas.whyFull(select, by.repository, 0))) ??
      (await this.#whyNoDisk(0));
    if (full !== undefined) return full;
    const deadline = performance.now() + limits.waitForPlace;
    while (this.#isCrowded(by.subjectKey)) {
      const left = deadline - performance.now();
      if (left <= 0 || signal.aborted || this.#waiting.size >= limits.open)
        return { ...refuseWrite('TOO_MANY_UPLOADS'), retryAfter: CLIENT_RETRY_AFTER.tooManyPushes };
      await this.#anEnd(left, signal);
    }
    this.#beginning.push(by);
    try {
      const id = newUploadId(owner);
      const upload = new Upload({
        ...by,
        id,
        handle: await content.createUpload(id),
        algorithm,
        begunAt: clock(),
        maxBlob: limits.maxBlob,
        maxChunks: limits.chunks,
        lookAtDiskEvery: limits.lookAtDiskEvery,
        whyNoDisk: (bytes) => this.#whyNoDisk(bytes),
        failed: () => this.end(upload),
        received: (bytes) => this.#count(by.repository, bytes),
        reserveAhead: limits.reserveAhead,
        // Without a quota there is nothing to ask, so such an upload goes on while the database is away.
        reserve: async (bytes, ahead) =>
          quotas.isLimited(by.repository)
            ? database.read((select) => quotas.reserve(select, by.repository, bytes, ahead))
            : bytes,
        release: (bytes) => quotas.release(by.repository, bytes),
      });
      this.#open.set(id, upload);
      return upload;
    } finally {
      this.#beginning = this.#beginning.filter((one) => one !== by);
    }
  }

  /**
   * Returns an upload of this caller to this repository, and notes that it is in use. Those of others do not
   * exist.
   */
  find(id: UploadId, { repository, subjectKey }: Uploader): Upload | undefined {
    const upload = this.#open.get(id);
    const isOwn = upload?.repository === repository && upload.subjectKey === subjectKey;
    if (!isOwn || upload.isOver) return undefined;
    upload.touchedAt = this.#options.clock();
    return upload;
  }

  /**
   * Ends an upload that there is no room for. Clients such as regctl try to go on, and show the answer to
   * their last request, so later requests are refused in the same words.
   */
  async refuse(upload: Upload, refusal: HostedRefusal): Promise<void> {
    const { id, repository, subjectKey } = upload;
    this.#refused.set(id, { repository, subjectKey, refusal });
    const [oldest = id] = this.#refused.keys();
    if (this.#refused.size > this.#options.limits.open) this.#refused.delete(oldest);
    await this.end(upload);
  }

  /** Returns why an upload of this caller to this repository ended. */
  whyRefused(id: UploadId, { repository, subjectKey }: Uploader): HostedRefusal | undefined {
    const refused = this.#refused.get(id);
    const isOwn = refused?.repository === repository && refused.subjectKey === subjectKey;
    return isOwn ? refused.refusal : undefined;
  }

  /** Ends an upload and removes its bytes, unless they were published. */
  async end(upload: Upload): Promise<void> {
    this.#open.delete(upload.id);
    this.#options.quotas.release(upload.repository, upload.takeReserved());
    upload.end();
    for (const wake of this.#waiting) wake();
    await upload.handle.close().catch(() => {});
    await this.#options.content.removeUpload(upload.id);
  }

  /** Removes the abandoned uploads. */
  async sweep(): Promise<void> {
    const { limits, clock } = this.#options;
    const now = clock();
    for (const upload of this.#open.values()) {
      const isAbandoned = upload.touchedAt < now - limits.idle && !upload.isBusy;
      if (isAbandoned || upload.begunAt < now - limits.life) await this.end(upload);
    }
  }

  #count(repository: string, bytes: number): void {
    const { name = '' } = namespaceOf(repository, this.#options.namespaces) ?? {};
    this.#received.set(name, (this.#received.get(name) ?? 0) + bytes);
  }

  #isCrowded(subjectKey: string): boolean {
    const { open, openPerSubject } = this.#options.limits;
    const all = [...this.#open.values(), ...this.#beginning];
    return all.length >= open || all.filter((one) => one.subjectKey === subjectKey).length >= openPerSubject;
  }

  async #anEnd(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => resolve(), { once: true });
    this.#waiting.add(resolve);
    await promise;
    this.#waiting.delete(resolve);
    clearTimeout(timer);
  }

  /** Returns why the disk cannot take these bytes too; undefined if it can. */
  async #whyNoDisk(bytes: number): Promise<HostedRefusal | undefined> {
    const { content, limits } = this.#options;
    const { total, free } = await content.space();
    if (free - bytes > total * limits.diskReserve) return undefined;
    return refuseWrite(
      'DENIED',
      'the disk of the hosted repositories is nearly full; tell whoever runs this registry',
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeping[Symbol.asyncDispose]();
    for (const upload of this.#open.values()) await this.end(upload);
  }
}
