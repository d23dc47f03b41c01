import type { ReadAccess } from '../../protocol/core-api.ts';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import type { Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import type { TagEntry } from '../store/index-store.ts';
import type { ManifestHead } from '../upstream/read-manifest.ts';
import type { UpstreamResult } from '../upstream/upstream-result.ts';
import type { PullRefusal } from './outcome.ts';
import type { ReferrersCache } from './referrers-cache.ts';

/**
 * Tags that name the referrers of a manifest: `sha256-<hex>` at registries without the endpoint (OCI
 * distribution spec, "Referrers Tag Schema"), and cosign's own tags.
 */
const REFERRERS_TAG = /^(sha256)-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?$/;

/** Returns the manifest whose referrers the tag lists; undefined for any other tag. */
export function referrersSubject(tag: Tag): Digest | undefined {
  const [, algorithm, hex] = REFERRERS_TAG.exec(tag) ?? [];
  return parseDigest(`${algorithm}:${hex}`);
}

/**
 * Records that the upstream has no such referrers tag, so that the core can answer when the upstream is
 * unreachable.
 */
export async function recordReferrersTag(
  referrers: ReferrersCache,
  repository: Repository,
  tag: Tag,
  grant: ReadAccess,
  { entry, answer }: { readonly entry: TagEntry | undefined; readonly answer: UpstreamResult<ManifestHead> },
): Promise<void> {
  if (referrersSubject(tag) === undefined) return;
  if (answer.kind === 'denied' && answer.reason === 'not-found')
    await referrers.put(repository, `manifests/${tag}`, grant, undefined);
  else if (answer.kind === 'ok' && entry === undefined)
    await referrers.remove(repository, `manifests/${tag}`, grant);
}

/** Answers 404 for a referrers tag if the upstream cannot be asked and the tag is known not to exist. */
export async function missingReferrersTag(
  referrers: ReferrersCache,
  repository: Repository,
  tag: Tag,
  grant: ReadAccess,
): Promise<PullRefusal | undefined> {
  const subject = referrersSubject(tag);
  if (subject === undefined) return undefined;
  const none = { kind: 'refused', error: 'MANIFEST_UNKNOWN' } as const;
  const stale = await referrers.recall(repository, `manifests/${tag}`, grant);
  if (stale !== undefined) return { ...none, age: stale.age };
  return (await referrers.isStoredAttestation(repository, subject, grant)) ? none : undefined;
}
