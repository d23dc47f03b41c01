import type { Clock } from '../../platform/clock.ts';
import type { Digest } from '../../registry/digest.ts';
import type { HostedContent } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { COLLECTION } from './limits.ts';
import type { Quotas } from './quota.ts';
import { type HostedRefusal, orRefusal, RefusedChange, refuseWrite } from './refusal.ts';
import type { ReceivedBody, Upload } from './upload.ts';
import type { Uploads } from './uploads.ts';

export interface BlobPushOptions {
  readonly database: HostedDatabase;
  readonly content: HostedContent;
  /** Held while the file of a digest and the rows that name it do not agree yet. */
  readonly locks: KeyedLock<Digest>;
  readonly uploads: Uploads;
  readonly quotas: Quotas;
  readonly clock: Clock;
}

/** A published blob. */
export interface PublishedBlob {
  readonly kind: 'published';
  readonly digest: Digest;
  readonly size: number;
}

/** Publishes blobs: by an upload that is complete, or by a link to what another repository has. */
export class BlobPush {
  readonly #options: BlobPushOptions;

  constructor(options: BlobPushOptions) {
    this.#options = options;
  }

  /**
   * Appends the last bytes, which may be none, compares all with the digest, and publishes them. After a
   * wrong digest the upload is over; after a chunk out of order it can go on.
   */
  async complete(
    upload: Upload,
    digest: Digest,
    last: ReceivedBody,
    signal: AbortSignal,
  ): Promise<PublishedBlob | HostedRefusal> {
    const refusal = await upload.append(last);
    if (refusal !== undefined) return refusal;
    if (!(await upload.matches(digest))) {
      await this.#options.uploads.end(upload);
      return refuseWrite('DIGEST_INVALID', `the ${upload.offset} bytes that were uploaded are not ${digest}`);
    }
    // The right to push may have been revoked while the last bytes arrived.
    signal.throwIfAborted();
    return this.#publish(upload, digest, signal);
  }

  /** Links a blob of another repository. Resolves to undefined if that one does not have it. */
  async mount(
    repository: string,
    from: string,
    digest: Digest,
  ): Promise<PublishedBlob | HostedRefusal | undefined> {
    return orRefusal(
      this.#options.database.change((statements) => this.#mount(statements, repository, from, digest)),
    );
  }

  *#mount(
    statements: HostedStatements,
    repository: string,
    from: string,
    digest: Digest,
  ): HostedStep<PublishedBlob | undefined> {
    const { select } = statements;
    const source = yield* select.repository.get(from);
    const blob = source && (yield* select.blob.get(source.id, digest));
    if (blob === undefined) return undefined;
    return yield* this.#link(statements, repository, digest, blob.size);
  }

  async #publish(
    upload: Upload,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<PublishedBlob | HostedRefusal> {
    const { database, content, locks, uploads, quotas } = this.#options;
    const { id, handle, repository, offset: size } = upload;
    return locks.run(digest, async () => {
      const stored = await content.publish({ id, handle, digest, size, signal });
      if (stored.kind === 'refused') {
        await uploads.end(upload);
        return stored;
      }
      const link = (statements: HostedStatements) => this.#link(statements, repository, digest, size);
      const change = database.change(function* (statements) {
        quotas.release(repository, upload.takeReserved());
        yield* stored.record(statements);
        return yield* link(statements);
      });
      const published = await orRefusal(change).finally(() => uploads.end(upload));
      await stored.settle(published.kind === 'refused' ? 'refused' : 'committed');
      if (published.kind === 'refused') await this.#removeUnlinked(digest);
      return published;
    });
  }

  /** Adds the blob to a repository, with a lease, because its manifest is still to come. */
  *#link(
    { select, change }: HostedStatements,
    repository: string,
    digest: Digest,
    size: number,
  ): HostedStep<PublishedBlob> {
    const { quotas, clock } = this.#options;
    yield* change.addRepository.run(repository);
    const id = (yield* select.repository.get(repository))?.id ?? 0;
    const isNew = (yield* select.blob.get(id, digest)) === undefined;
    const full = isNew ? yield* quotas.whyFull(select, repository, size) : undefined;
    if (full !== undefined) throw new RefusedChange(full.error, full.message);
    const lease = clock() + COLLECTION.lease;
    yield* change.putBlob.run(id, digest, size, lease);
    yield* change.putCandidate.run(id, digest, lease);
    return { kind: 'published', digest, size };
  }

  async #removeUnlinked(digest: Digest): Promise<void> {
    const { database, content } = this.#options;
    const isLinked = (await database.read((select) => select.anyBlob.get(digest))) !== undefined;
    if (!isLinked) await content.remove(digest);
  }
}
