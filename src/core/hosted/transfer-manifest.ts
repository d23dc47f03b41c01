/** The reads and changes by which a manifest goes from one database of hosted repositories to another one. */
import type { Digest } from '../../registry/digest.ts';
import type { StoredUpload } from './hosted-content.ts';
import type { HostedSelects, HostedStatements } from './hosted-statements.ts';
import type { HostedStep, HostedValue } from './hosted-step.ts';
import { RefusedChange } from './refusal.ts';

export interface TransferredBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** A manifest with what it needs. */
export interface TransferredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly pushedAt: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly annotations: string | null;
  readonly bytes: Uint8Array;
  readonly blobs: readonly TransferredBlob[];
  readonly manifests: readonly Digest[];
  /** The time at which the collection judges it; absent if it is no candidate. */
  readonly reviewAt: number | undefined;
}

/** Reads a manifest of a repository; undefined if it has been removed. */
export function* readHostedManifest(
  select: HostedSelects,
  repository: number,
  digest: Digest,
): HostedStep<TransferredManifest | undefined> {
  const row = yield* select.wholeManifest.get(repository, digest);
  if (row === undefined) return undefined;
  const blobs: TransferredBlob[] = [];
  const manifests: Digest[] = [];
  for (const { child } of yield* select.children.all(repository, digest)) {
    const blob = yield* select.blob.get(repository, child);
    if (blob !== undefined) blobs.push({ digest: child, size: blob.size });
    const isManifest = (yield* select.manifestHead.get(repository, child)) !== undefined;
    // What the source has lost is asked for as a manifest, and found missing.
    if (isManifest || blob === undefined) manifests.push(child);
  }
  const { media_type: mediaType, pushed_at: pushedAt, artifact_type: artifactType, ...same } = row;
  const reviewAt = (yield* select.reviewAt.get(repository, digest))?.review_at;
  return { ...same, digest, mediaType, pushedAt, artifactType, blobs, manifests, reviewAt };
}

/** True if the repository of this path has the manifest. */
export function* hasManifest(select: HostedSelects, path: string, digest: Digest): HostedStep<boolean> {
  const id = (yield* select.repository.get(path))?.id ?? 0;
  return (yield* select.manifestHead.get(id, digest)) !== undefined;
}

/** True if the repository of this path has the blob. */
export function* hasBlob(select: HostedSelects, path: string, digest: Digest): HostedStep<boolean> {
  const id = (yield* select.repository.get(path))?.id ?? 0;
  return (yield* select.blob.get(id, digest)) !== undefined;
}

/**
 * Names a manifest and its blobs in one change, so that the collection never finds the ones without the
 * other. `stored` has those blobs that the repository did not have before. The manifest counts as used now.
 * @throws RefusedChange if something that it needs was removed meanwhile
 */
export function* putManifest(
  { select, change }: HostedStatements,
  path: string,
  manifest: TransferredManifest,
  stored: ReadonlyMap<Digest, StoredUpload>,
  now: number,
): HostedStep<void> {
  const { digest, blobs, manifests, reviewAt } = manifest;
  yield* change.addRepository.run(path);
  const id = (yield* select.repository.get(path))?.id ?? 0;
  for (const child of manifests)
    if ((yield* select.manifestHead.get(id, child)) === undefined) refuseWithout(child);
  for (const { digest: blob, size } of blobs) {
    const upload = stored.get(blob);
    if (upload !== undefined) {
      yield* upload.record({ select, change });
      yield* change.putBlob.run(id, blob, size, now);
    } else if ((yield* select.blob.get(id, blob)) === undefined) refuseWithout(blob);
  }
  yield* change.putManifest.run(...valuesOf(manifest, id));
  yield* change.touchManifest.run(now, id, digest);
  for (const child of new Set([...blobs.map((blob) => blob.digest), ...manifests]))
    yield* change.putChild.run(id, digest, child);
  if (reviewAt !== undefined) yield* change.putCandidate.run(id, digest, reviewAt);
}

function valuesOf(manifest: TransferredManifest, id: number): HostedValue[] {
  const { digest, mediaType, size, pushedAt, subject, artifactType, annotations, bytes } = manifest;
  return [id, digest, mediaType, size, pushedAt, subject, artifactType, annotations, bytes];
}

function refuseWithout(child: Digest): never {
  throw new RefusedChange('UNAVAILABLE', `${child}, which it names, was just removed; run this again`);
}
