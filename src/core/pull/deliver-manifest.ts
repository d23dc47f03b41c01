import type { CacheState } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { FoundContent } from '../store/recorded-content.ts';
import type { ManifestHead } from '../upstream/read-manifest.ts';
import type { Requester } from '../upstream/requester.ts';
import type { ColdPulls } from './cold-pulls.ts';
import { type FetchManifestOptions, ManifestFetches } from './fetch-manifest.ts';
import { type PullOutcome, type PullRefusal, refusalOf } from './outcome.ts';
import { ValidatedManifests } from './validated-manifests.ts';

export interface PulledManifest extends ManifestHead {
  /** Absent if only the head was requested. */
  readonly bytes?: Buffer;
  /** The seconds since the upstream's answer; only for a `stale` answer. */
  readonly age?: number;
}

export type ManifestMethod = 'GET' | 'HEAD';

/** The way in which the core obtains and answers a manifest. */
export interface Delivery {
  readonly method: ManifestMethod;
  readonly requester: Requester;
  readonly cache: CacheState;
  /** The content that the store has found under the digest. */
  readonly stored?: FoundContent;
}

/** Delivers manifests that the caller may have: from the store, or else by a fetch. */
export class ManifestDelivery {
  readonly #cold: ColdPulls;
  readonly #fetches: ManifestFetches;
  readonly #validated: ValidatedManifests;

  constructor(options: FetchManifestOptions, cold: ColdPulls) {
    this.#cold = cold;
    this.#fetches = new ManifestFetches(options);
    this.#validated = new ValidatedManifests(options.store);
  }

  async deliver(
    repository: Repository,
    { digest, mediaType, size }: ManifestHead,
    { method, requester, cache, stored }: Delivery,
  ): Promise<PullOutcome<PulledManifest>> {
    // An upstream can name the digest of any content that is in the cache.
    if (size > MAX_DOCUMENT_SIZE) return this.#refuse(repository, digest, 'larger than 4 MiB');
    if (method === 'HEAD') return { kind: 'found', cache, digest, mediaType, size };
    const manifest = await this.#validated.read(digest, mediaType, stored);
    if (manifest === undefined) return this.fetchManifest(repository, digest, requester);
    if (manifest.kind === 'unfit') return this.#refuse(repository, digest, manifest.why);
    const { bytes } = manifest;
    return { kind: 'found', cache, digest, mediaType, size: bytes.length, bytes };
  }

  /** Fetches by digest. Others who ask for the same join the fetch. */
  async fetchManifest(
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<PullOutcome<PulledManifest>> {
    const key = digestKey(repository, digest);
    const cache = this.#fetches.isRunning(key) ? 'joined' : 'fill';
    const get = () => this.#fetches.get(key, repository, digest, requester);
    const answer = await this.#cold.run(key, get);
    return answer.kind === 'ok'
      ? { kind: 'found', cache, ...answer.value }
      : refusalOf(answer, 'MANIFEST_UNKNOWN');
  }

  #refuse(repository: Repository, digest: Digest, why: string): PullRefusal {
    return refusalOf(this.#fetches.refuse(repository, digest, why), 'MANIFEST_UNKNOWN');
  }
}

/** Returns the key of a digest in a repository. */
export function digestKey({ name }: Repository, digest: Digest): string {
  return `${name}@${digest}`;
}
