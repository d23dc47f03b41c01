import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import type { FoundContent } from '../store/recorded-content.ts';
import type { Store } from '../store/store.ts';
import type { ManifestHead } from '../upstream/read-manifest.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import type { ColdPulls } from './cold-pulls.ts';
import {
  type Delivery,
  digestKey,
  type ManifestDelivery,
  type ManifestMethod,
  type PulledManifest,
} from './deliver-manifest.ts';
import { type PullOutcome, refusalOf, withMaxAge } from './outcome.ts';
import {
  identityFor,
  type KnownLink,
  type KnownVisibility,
  type LinkAccess,
  type RepositoryLinks,
} from './repository-links.ts';

export interface DigestPullOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly links: RepositoryLinks;
}

/** A digest as somebody asks for it. */
interface DigestQuestion {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly method: ManifestMethod;
  readonly requester: Requester;
}

interface KnownDigest {
  readonly stored: FoundContent | undefined;
  readonly known: KnownLink;
}

/** Pulls the manifest of a digest, if the repository contains it. */
export class DigestPull {
  readonly #options: DigestPullOptions;
  readonly #cold: ColdPulls;
  readonly #delivery: ManifestDelivery;

  constructor(options: DigestPullOptions, cold: ColdPulls, delivery: ManifestDelivery) {
    this.#options = options;
    this.#cold = cold;
    this.#delivery = delivery;
  }

  async pull(asked: DigestQuestion): Promise<PullOutcome<PulledManifest>> {
    const { repository, digest, method, requester } = asked;
    const { store, links } = this.#options;
    const stored = await store.content.findTyped(digest);
    const known = await links.known(repository, 'manifest', digest, requester.grant);
    const pull = (by: Requester) => this.#resolve({ ...asked, requester: by }, { stored, known });
    const isCached = stored !== undefined;
    if (method === 'HEAD' || (isCached && known.link !== undefined)) return pull(requester);
    const again = () => this.pull(asked);
    const key = digestKey(repository, digest);
    return this.#cold.pull(repository, requester, { key, pull, again, isCached });
  }

  /** Confirms that the repository contains the digest, and delivers the manifest. */
  async #resolve(
    asked: DigestQuestion,
    { stored, known }: KnownDigest,
  ): Promise<PullOutcome<PulledManifest>> {
    const { repository, digest, method, requester } = asked;
    const { links } = this.#options;
    if (method === 'GET' && stored === undefined && known.mayFetch)
      return this.#delivery.fetchManifest(repository, digest, requester);
    const access = await links.confirm(repository, 'manifest', digest, requester, known);
    if (access.kind === 'refused') return refusalOf(access.answer, 'MANIFEST_UNKNOWN');
    const size = access.head?.size ?? stored?.location.size;
    if (size !== undefined) {
      const cache = stored === undefined ? 'fill' : 'hit';
      const delivery = { method, requester, cache, ...(stored && { stored }) } as const;
      return this.#deliverLinked(repository, { digest, size }, access, known, delivery);
    }
    if (method === 'GET') return this.#delivery.fetchManifest(repository, digest, requester);
    return this.#head(asked);
  }

  async #head({ repository, digest, requester }: DigestQuestion): Promise<PullOutcome<PulledManifest>> {
    const ask = { as: identityFor(requester.grant), requester };
    const answer = await this.#options.client.headManifest(repository, { kind: 'digest', digest }, ask);
    return answer.kind === 'ok'
      ? { kind: 'found', cache: 'fill', ...answer.value }
      : refusalOf(answer, 'MANIFEST_UNKNOWN');
  }

  async #deliverLinked(
    repository: Repository,
    { digest, size }: Pick<ManifestHead, 'digest' | 'size'>,
    { link, isAsked, staleFor }: LinkAccess & { readonly kind: 'linked' },
    known: KnownVisibility,
    delivery: Delivery,
  ): Promise<PullOutcome<PulledManifest>> {
    if (link.kind !== 'manifest') throw new Error('a manifest has a blob’s link');
    const isStale = delivery.cache === 'hit' && staleFor !== undefined;
    const delivered = await this.#delivery.deliver(
      repository,
      { digest, mediaType: link.mediaType, size },
      isStale ? { ...delivery, cache: 'stale' } : delivery,
    );
    if (isStale && delivered.kind === 'found') return { ...delivered, age: Math.round(staleFor / 1000) };
    const { links } = this.#options;
    const { maxAgeMs } = isAsked ? await links.visibility(repository, delivery.requester.grant) : known;
    return withMaxAge(delivered, maxAgeMs);
  }
}
