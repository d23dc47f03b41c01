import type { Reference } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import type { Requester } from '../upstream/requester.ts';
import { ColdPulls } from './cold-pulls.ts';
import { ManifestDelivery, type ManifestMethod, type PulledManifest } from './deliver-manifest.ts';
import type { FetchManifestOptions } from './fetch-manifest.ts';
import type { PullOutcome } from './outcome.ts';
import { DigestPull } from './pull-digest.ts';
import { TagPull, type TagPullOptions } from './pull-tag.ts';
import { type RevalidateTagOptions, TagRevalidation } from './revalidate-tag.ts';

export interface ManifestPullOptions extends FetchManifestOptions, RevalidateTagOptions, TagPullOptions {}

/**
 * Pulls manifests. A tag is resolved first, and a digest is confirmed to be in the repository. Both are then
 * delivered from the store, or by a fetch.
 */
export class ManifestPull {
  readonly #byTag: TagPull;
  readonly #byDigest: DigestPull;

  constructor(options: ManifestPullOptions) {
    const cold = new ColdPulls(options.client);
    const delivery = new ManifestDelivery(options, cold);
    const revalidation = new TagRevalidation(options);
    this.#byTag = new TagPull(options, { cold, delivery, revalidation });
    this.#byDigest = new DigestPull(options, cold, delivery);
  }

  /**
   * Pulls the manifest of a tag or a digest. A HEAD moves no manifest, and so costs no pull of the upstream's
   * quota.
   */
  pull(
    repository: Repository,
    reference: Reference,
    method: ManifestMethod,
    requester: Requester,
  ): Promise<PullOutcome<PulledManifest>> {
    return reference.kind === 'tag'
      ? this.#byTag.pull({ repository, tag: reference.tag, method, requester })
      : this.#byDigest.pull({ repository, digest: reference.digest, method, requester });
  }
}
