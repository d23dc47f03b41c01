import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import type { Sources } from '../cluster/sources.ts';
import type { Store } from '../store/store.ts';
import type { UpstreamManifest } from '../upstream/read-manifest.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import {
  isOverBudget,
  ok,
  type UpstreamRefusal,
  type UpstreamResult,
  unavailable,
} from '../upstream/upstream-result.ts';
import type { CacheWrites } from './cache-writes.ts';
import type { RepositoryLinks } from './repository-links.ts';
import { childrenOf, whyInvalidManifest } from './validate-document.ts';
import { ValidatedManifests } from './validated-manifests.ts';

export interface FetchManifestOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly links: RepositoryLinks;
  readonly writes: CacheWrites;
  /** The other nodes of the cluster; absent if there is none. */
  readonly sources?: Sources | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Fetches manifests by digest, as the account, and puts them into the cache. */
export class ManifestFetches {
  readonly #options: FetchManifestOptions;
  readonly #validated: ValidatedManifests;
  readonly #running = new SingleFlight<UpstreamResult<UpstreamManifest>>(isOverBudget);

  constructor(options: FetchManifestOptions) {
    this.#options = options;
    this.#validated = new ValidatedManifests(options.store);
  }

  isRunning(key: string): boolean {
    return this.#running.isRunning(key);
  }

  /** Sends one GET for all callers that ask at the same time. `key` names the digest in its repository. */
  get(
    key: string,
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<UpstreamResult<UpstreamManifest>> {
    const { sources } = this.#options;
    const fetchHere = () => this.#fetch(repository, digest, requester);
    const find = () => this.#fetchedElsewhere(repository, digest, requester);
    return this.#running.run(key, () =>
      sources === undefined ? fetchHere() : sources.inTurn(digest, fetchHere, find),
    );
  }

  /** Returns what another node of the cluster has fetched, if this repository contains it too. */
  async #fetchedElsewhere(
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<UpstreamResult<UpstreamManifest> | undefined> {
    const { store, links } = this.#options;
    const stored = await store.content.findTyped(digest);
    if (stored === undefined) return undefined;
    const known = await links.known(repository, 'manifest', digest, requester.grant);
    const access = await links.confirm(repository, 'manifest', digest, requester, known);
    if (access.kind === 'refused') return access.answer;
    if (access.link.kind !== 'manifest') return undefined;
    const { mediaType } = access.link;
    const manifest = await this.#validated.read(digest, mediaType, stored);
    if (manifest?.kind !== 'fit') return undefined;
    const { bytes } = manifest;
    return ok({ digest, mediaType, size: bytes.length, bytes });
  }

  async #fetch(
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<UpstreamResult<UpstreamManifest>> {
    const { store, client, links } = this.#options;
    // A caller with public read access comes here only if the upstream shows the repository or this digest to
    // anonymous too, so the account may ask.
    const ask = { as: 'account', requester } as const;
    const answer = await client.getManifest(repository, { kind: 'digest', digest }, ask);
    await links.learn(repository, 'account', answer);
    if (answer.kind === 'denied') await store.index.removeLink(repository.name, digest);
    if (answer.kind !== 'ok') return answer;
    const unfit = whyInvalidManifest(answer.value.bytes, answer.value.mediaType);
    if (unfit !== undefined) return this.refuse(repository, digest, unfit);
    await this.#keep(repository, answer.value, requester);
    return answer;
  }

  async #keep(
    repository: Repository,
    { digest, bytes, mediaType }: UpstreamManifest,
    requester: Requester,
  ): Promise<void> {
    const { store, writes, clock } = this.#options;
    const children = childrenOf(bytes);
    if (!writes.isFailing)
      await store.content.publish(digest, bytes, mediaType).catch((error) => writes.failed(error));
    if (writes.isFailing) writes.passed();
    await store.index.putChildren(digest, children);
    // A caller with public read access comes here only if the repository is known to be public.
    const facts = { public: requester.grant === 'public', checkedAt: clock() };
    await store.index.putLink(repository.name, digest, { kind: 'manifest', mediaType, ...facts });
  }

  /** Refuses what the upstream names as a manifest and is none. */
  refuse({ name }: Repository, digest: Digest, unfit: string): UpstreamRefusal {
    this.#options.log.warn({ repository: name, digest, unfit }, 'a manifest from the upstream is refused');
    return unavailable('unfit', `${name}@${digest}: ${unfit}`);
  }
}
