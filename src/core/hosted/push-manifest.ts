import { createHash } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { algorithmOf, type Digest, sha256Of } from '../../registry/digest.ts';
import type { Reference, Tag } from '../../registry/reference.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import type { UploadLimits } from './limits.ts';
import { type NamespaceRules, namespaceOf } from './namespace.ts';
import { type PushedManifest, parsePushedManifest } from './pushed-manifest.ts';
import type { Quotas } from './quota.ts';
import { type HostedRefusal, orRefusal, RefusedChange, refuseWrite } from './refusal.ts';
import { isImmutable } from './tag-pattern.ts';

export interface ManifestPushOptions {
  readonly database: HostedDatabase;
  readonly quotas: Quotas;
  readonly namespaces: readonly NamespaceRules[];
  readonly limits: Pick<UploadLimits, 'maxTags' | 'maxReferrers'>;
  readonly clock: Clock;
}

/** The one who changes a tag, for its history. */
export interface Author {
  readonly subject: string;
  readonly credential: string;
}

export interface ManifestPushRequest {
  readonly repository: string;
  readonly reference: Reference;
  /** The tags that a push by digest sets too. */
  readonly tags: readonly Tag[];
  readonly bytes: Buffer;
  readonly contentType: string;
  readonly by: Author;
}

export interface PublishedManifest {
  readonly kind: 'published';
  readonly digest: Digest;
  readonly size: number;
  readonly subject: Digest | undefined;
  /** The digest that the tag of the request meant before. */
  readonly previous: Digest | undefined;
}

/** Publishes manifests and sets tags. Everything is decided in the transaction that writes it. */
export class ManifestPush {
  readonly #options: ManifestPushOptions;

  constructor(options: ManifestPushOptions) {
    this.#options = options;
  }

  async put(request: ManifestPushRequest): Promise<PublishedManifest | HostedRefusal> {
    const { reference, bytes, contentType } = request;
    const digest = reference.kind === 'digest' ? reference.digest : sha256Of(bytes);
    if (reference.kind === 'digest' && digestOf(bytes, digest) !== digest)
      return refuseWrite('DIGEST_INVALID', `the manifest is not ${digest}`);
    const manifest = parsePushedManifest(bytes, contentType);
    if (manifest.kind === 'refused') return manifest;
    return orRefusal(
      this.#options.database.change((statements) => this.#put(statements, request, digest, manifest)),
    );
  }

  *#put(
    statements: HostedStatements,
    request: ManifestPushRequest,
    digest: Digest,
    manifest: PushedManifest,
  ): HostedStep<PublishedManifest> {
    const { select, change } = statements;
    const { repository, reference } = request;
    const { bytes, mediaType, subject, artifactType = null, annotations = null } = manifest;
    yield* change.addRepository.run(repository);
    const id = (yield* select.repository.get(repository))?.id ?? 0;
    const children = yield* childrenOf(statements, id, manifest);
    const isNew = (yield* select.manifestHead.get(id, digest)) === undefined;
    if (isNew) yield* this.#requireSpace(statements, id, repository, manifest);
    const tags = reference.kind === 'tag' ? [reference.tag] : request.tags;
    const previous: (Digest | undefined)[] = [];
    for (const tag of tags) previous.push(yield* this.#setTag(statements, id, request, tag, digest));
    const now = this.#options.clock();
    yield* change.putManifest.run(
      ...[id, digest, mediaType, bytes.length, now],
      ...[subject ?? null, artifactType, annotations, bytes],
    );
    // A layer that was elsewhere may have come since an earlier push of this manifest.
    for (const child of children) yield* change.putChild.run(id, digest, child);
    return { kind: 'published', digest, size: bytes.length, subject, previous: previous[0] };
  }

  *#requireSpace(
    { select }: HostedStatements,
    id: number,
    repository: string,
    { bytes, subject }: PushedManifest,
  ): HostedStep<void> {
    const full = yield* this.#options.quotas.whyFull(select, repository, bytes.length);
    if (full !== undefined) throw new RefusedChange(full.error, full.message);
    const { referrers } = (subject && (yield* select.referrerCount.get(id, subject))) ?? { referrers: 0 };
    if (referrers >= this.#options.limits.maxReferrers)
      throw new RefusedChange(
        'DENIED',
        `${subject} has ${referrers} referrers, and no further one is accepted`,
      );
  }

  /** Returns the digest that the tag meant before. */
  *#setTag(
    { select, change }: HostedStatements,
    id: number,
    { repository, by }: ManifestPushRequest,
    tag: Tag,
    digest: Digest,
  ): HostedStep<Digest | undefined> {
    const { namespaces, clock, limits } = this.#options;
    const before = yield* select.tag.get(id, tag);
    if (before?.digest === digest) return undefined;
    if (before === undefined && ((yield* select.repository.get(repository))?.tags ?? 0) >= limits.maxTags)
      throw new RefusedChange(
        'DENIED',
        `${repository} has ${limits.maxTags} tags, and no further one is accepted`,
      );
    if (before !== undefined) requireMovable(repository, tag, before, namespaces, 'push another tag');
    yield* change.putTag.run(id, tag, digest, clock());
    yield* change.addHistory.run(id, tag, digest, before?.digest ?? null, clock(), by.subject, by.credential);
    return before?.digest;
  }
}

/**
 * Returns the content of the repository that a manifest names, which stays as long as the manifest.
 *
 * @throws RefusedChange if something is missing that must be there
 */
function* childrenOf(
  { select }: HostedStatements,
  id: number,
  { blobs, layersElsewhere, manifests }: PushedManifest,
): HostedStep<readonly Digest[]> {
  for (const blob of blobs) if ((yield* select.blob.get(id, blob)) === undefined) refuseWithout(blob);
  for (const named of manifests)
    if (
      (yield* select.manifestHead.get(id, named)) === undefined &&
      (yield* select.blob.get(id, named)) === undefined
    )
      refuseWithout(named);
  const layers: Digest[] = [];
  for (const layer of layersElsewhere)
    if ((yield* select.blob.get(id, layer)) !== undefined) layers.push(layer);
  return [...blobs, ...layers, ...manifests];
}

function refuseWithout(child: Digest): never {
  throw new RefusedChange('MANIFEST_BLOB_UNKNOWN', `the repository does not have ${child}; push it first`);
}

/**
 * `advice` says what the caller can do instead.
 *
 * @throws RefusedChange if a tag that exists may be neither moved nor deleted
 */
export function requireMovable(
  repository: string,
  tag: Tag,
  { digest, set_at }: { readonly digest: Digest; readonly set_at: number },
  namespaces: readonly NamespaceRules[],
  advice: string,
): void {
  if (!isImmutable(tag, namespaceOf(repository, namespaces)?.immutableTags ?? [])) return;
  const since = new Date(set_at).toISOString();
  throw new RefusedChange(
    'TAG_IMMUTABLE',
    `the tag ${tag} is immutable since ${since} (${digest}); ${advice}`,
  );
}

function digestOf(bytes: Buffer, like: Digest): string {
  const algorithm = algorithmOf(like);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
