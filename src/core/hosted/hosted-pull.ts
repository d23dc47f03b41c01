import type { Clock } from '../../platform/clock.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Page } from '../../registry/page.ts';
import type { Reference } from '../../registry/reference.ts';
import type { PulledManifest } from '../pull/deliver-manifest.ts';
import type { PullOutcome } from '../pull/outcome.ts';
import type { PulledDocument } from '../pull/pull-document.ts';
import type { PulledBlob } from '../pull/pulled-blob.ts';
import type { BlobHead } from '../upstream/read-blob.ts';
import type { HostedContent, WantedBlob } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedRows, HostedSelects } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import { COLLECTION, MAX_REFERRERS_PAGE, MAX_TAGS_PAGE, REFERRER_SIZE } from './limits.ts';

export interface HostedPullOptions {
  readonly database: HostedDatabase;
  readonly content: HostedContent;
  readonly clock: Clock;
}

/** The most referrers of a page, which may reach its size before that. */
const REFERRERS_AT_ONCE = 1_000;
const INDEX_BEFORE = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[';

/**
 * Pulls from hosted repositories. What is not here is unknown: no upstream is ever asked. No answer has a max
 * age, so that the next pull sees a push or a delete.
 */
export class HostedPull {
  readonly #database: HostedDatabase;
  readonly #content: HostedContent;
  readonly #clock: Clock;

  constructor({ database, content, clock }: HostedPullOptions) {
    this.#database = database;
    this.#content = content;
    this.#clock = clock;
  }

  /**
   * Notes about once a day that a manifest is used, for the retention of tags. A client that finds a manifest
   * by its digest does not push it, so one that nothing else keeps is noted before the answer.
   */
  async manifest(
    repository: string,
    reference: Reference,
    method: 'GET' | 'HEAD',
  ): Promise<PullOutcome<PulledManifest>> {
    const unknown = { kind: 'refused', error: 'MANIFEST_UNKNOWN' } as const;
    const found = await this.#database.read((select) => findManifest(select, repository, reference, method));
    if (found === undefined) return unknown;
    const { id, digest, row, isKept } = found;
    const isRelied = method === 'HEAD' && reference.kind === 'digest' && !isKept;
    const age = this.#clock() - row.used_at;
    if (isRelied && age > COLLECTION.lease / 2) {
      if (!(await this.#renewManifest(id, digest))) return unknown;
    } else if (age > COLLECTION.noteUseAfter) this.#noteUse(id, digest);
    return {
      ...{ kind: 'found', cache: 'hit', digest, mediaType: row.media_type, size: row.size },
      ...('bytes' in row && { bytes: Buffer.from(row.bytes) }),
    };
  }

  async blob(wanted: Omit<WantedBlob, 'size'>): Promise<PullOutcome<PulledBlob>> {
    const size = await this.#sizeOf(wanted.repository.path, wanted.digest);
    if (size === undefined) return { kind: 'refused', error: 'BLOB_UNKNOWN' };
    return this.#content.find({ ...wanted, size });
  }

  /**
   * A client that finds a blob does not upload it, so a blob without a manifest gets a new lease. The
   * manifests of the others keep them, and they get one when the last of those is deleted.
   */
  async head(repository: string, digest: Digest): Promise<PullOutcome<BlobHead>> {
    const renewed = this.#clock() + COLLECTION.lease;
    const found = await this.#database.read(function* (select) {
      const id = (yield* select.repository.get(repository))?.id ?? 0;
      const blob = yield* select.blob.get(id, digest);
      if (blob === undefined) return undefined;
      const isShort = blob.leased_until < renewed - COLLECTION.lease / 2;
      const renews = isShort && (yield* select.anyParent.get(id, digest)) === undefined;
      return { id, size: blob.size, renews };
    });
    if (found === undefined) return { kind: 'refused', error: 'BLOB_UNKNOWN' };
    const isStillThere = !found.renews || (await this.#renew(found.id, digest, found.size, renewed));
    return isStillThere
      ? { kind: 'found', cache: 'hit', size: found.size }
      : { kind: 'refused', error: 'BLOB_UNKNOWN' };
  }

  tags(repository: string, { n = MAX_TAGS_PAGE, last = '' }: Page): Promise<PullOutcome<PulledDocument>> {
    return this.#database.read(function* (select): HostedStep<PullOutcome<PulledDocument>> {
      const id = (yield* select.repository.get(repository))?.id;
      if (id === undefined) return { kind: 'refused', error: 'NAME_UNKNOWN' };
      const most = Math.min(n, MAX_TAGS_PAGE);
      const found = yield* select.tagsAfter.all(id, last, most + 1);
      const tags = found.slice(0, most).map((row) => row.name);
      const end = tags.at(-1);
      return {
        ...{ kind: 'found', cache: 'hit', bytes: Buffer.from(JSON.stringify({ name: repository, tags })) },
        ...(found.length > most && end !== undefined && { next: { n: most, last: end } }),
      };
    });
  }

  /** A digest that nobody has pushed has no referrers, which is not an error. */
  referrers(
    repository: string,
    subject: Digest,
    artifactType: string | undefined,
    last: Digest | undefined,
  ): Promise<PullOutcome<PulledDocument>> {
    return this.#database.read(function* (select): HostedStep<PullOutcome<PulledDocument>> {
      const id = (yield* select.repository.get(repository))?.id ?? 0;
      const [after, type] = [last ?? '', artifactType ?? null];
      const rows = yield* select.referrers.all(id, subject, after, type, REFERRERS_AT_ONCE + 1);
      const page = firstReferrers(rows);
      const end = page.at(-1)?.digest;
      const annotated = end === undefined ? [] : yield* select.annotations.all(id, subject, after, end, type);
      const annotations = new Map(annotated.map((one) => [one.digest, one.annotations]));
      const manifests = page.map((row) => formatReferrer(row, annotations.get(row.digest)));
      return {
        ...{ kind: 'found', cache: 'hit', bytes: Buffer.from(`${INDEX_BEFORE}${manifests.join(',')}]}`) },
        ...(artifactType !== undefined && { filters: 'artifactType' as const }),
        ...(rows.length > page.length && end !== undefined && { next: { last: end } }),
      };
    });
  }

  #sizeOf(repository: string, digest: Digest): Promise<number | undefined> {
    return this.#database.read(function* (select) {
      const id = (yield* select.repository.get(repository))?.id ?? 0;
      return (yield* select.blob.get(id, digest))?.size;
    });
  }

  #noteUse(id: number, digest: Digest): void {
    const now = this.#clock();
    // A pull does not wait for this, and does not fail with it. The database logs its failures.
    this.#database.change(({ change }) => change.touchManifest.run(now, id, digest)).catch(() => {});
  }

  /** Resolves to false if the manifest was removed meanwhile. */
  #renewManifest(id: number, digest: Digest): Promise<boolean> {
    const now = this.#clock();
    return this.#database.change(function* ({ select, change }) {
      if ((yield* select.manifestHead.get(id, digest)) === undefined) return false;
      yield* change.touchManifest.run(now, id, digest);
      return true;
    });
  }

  /** Resolves to false if the blob was removed meanwhile. */
  #renew(id: number, digest: Digest, size: number, until: number): Promise<boolean> {
    return this.#database.change(function* ({ select, change }) {
      if ((yield* select.blob.get(id, digest)) === undefined) return false;
      yield* change.putBlob.run(id, digest, size, until);
      yield* change.putCandidate.run(id, digest, until);
      return true;
    });
  }
}

function* findManifest(
  select: HostedSelects,
  repository: string,
  reference: Reference,
  method: 'GET' | 'HEAD',
) {
  const id = (yield* select.repository.get(repository))?.id ?? 0;
  const digest =
    reference.kind === 'digest' ? reference.digest : (yield* select.tag.get(id, reference.tag))?.digest;
  if (digest === undefined) return undefined;
  const row = yield* method === 'GET' ? select.manifest.get(id, digest) : select.manifestHead.get(id, digest);
  if (row === undefined) return undefined;
  const isKept =
    (yield* select.anyTagOf.get(id, digest)) !== undefined ||
    (yield* select.anyParent.get(id, digest)) !== undefined;
  return { id, digest, row, isKept };
}

type Referrer = HostedRows['referrers'];

/** Returns the rows that fit on one page, but at least one, so that the next page begins behind it. */
function firstReferrers(rows: readonly Referrer[]): readonly Referrer[] {
  let size = 0;
  const end = rows.findIndex(({ annotations_size }, at) => {
    size += REFERRER_SIZE + (annotations_size ?? 0);
    return at > 0 && (at === REFERRERS_AT_ONCE || size > MAX_REFERRERS_PAGE);
  });
  return end === -1 ? rows : rows.slice(0, end);
}

/** The annotations are JSON already. If they were parsed, a large page would hold up the event loop. */
function formatReferrer(row: Referrer, annotations: string | undefined): string {
  const { media_type: mediaType, digest, size, artifact_type: artifactType } = row;
  const descriptor = { mediaType, digest, size, ...(artifactType !== null && { artifactType }) };
  const text = JSON.stringify(descriptor);
  return annotations === undefined ? text : `${text.slice(0, -1)},"annotations":${annotations}}`;
}
