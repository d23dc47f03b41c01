import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import type { Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { type Freshness, judgeFreshness } from '../freshness/freshness.ts';
import { MAX_CONFIRMED_TAGS, TAG_WRITTEN_AFTER } from '../limits.ts';
import type { TagEntry } from '../store/index-store.ts';
import type { Store } from '../store/store.ts';
import type { ManifestHead } from '../upstream/read-manifest.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import type { UpstreamIdentity } from '../upstream/upstream.ts';
import { isOverBudget, type UpstreamResult } from '../upstream/upstream-result.ts';
import { identityFor, type RepositoryLinks } from './repository-links.ts';

export interface RevalidateTagOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly links: RepositoryLinks;
  readonly clock: Clock;
  /** All times are in milliseconds. */
  readonly tagFreshness: number;
  readonly staleIfError: number;
  /**
   * A request that a cached answer could satisfy waits less long for a slow upstream than one without a
   * cached answer.
   */
  readonly revalidationDeadline: number;
}

/** Asks the upstream about tags, and knows for how long an answer counts. */
export class TagRevalidation {
  readonly #options: RevalidateTagOptions;
  /** The latest confirmations of tags, which the index does not contain. */
  readonly #confirmed: ExpiringCache<TagEntry>;
  readonly #running = new SingleFlight<UpstreamResult<ManifestHead>>(isOverBudget);

  constructor(options: RevalidateTagOptions) {
    this.#options = options;
    this.#confirmed = new ExpiringCache(MAX_CONFIRMED_TAGS, options.clock);
  }

  /**
   * Returns the upstream's last answer about a tag: the stored entry, or a later confirmation. A tag that was
   * removed has no confirmation either.
   */
  latest(repository: Repository, tag: Tag, entry: TagEntry | undefined): TagEntry | undefined {
    const confirmed = this.#confirmed.get(tagKey(repository, tag));
    return entry !== undefined && confirmed !== undefined && confirmed.checkedAt >= entry.checkedAt
      ? confirmed
      : entry;
  }

  judge({ checkedAt }: TagEntry): Freshness {
    const { clock, tagFreshness, staleIfError } = this.#options;
    return judgeFreshness(checkedAt, clock(), { freshFor: tagFreshness, staleFor: staleIfError });
  }

  /** Returns the milliseconds for which the entry stays fresh. */
  freshFor({ checkedAt }: TagEntry): number {
    const { clock, tagFreshness } = this.#options;
    return checkedAt + tagFreshness - clock();
  }

  /**
   * Sends one upstream HEAD for all callers and caches the answer. If the tag is gone, it is removed for the
   * identity that asked.
   */
  revalidate(
    repository: Repository,
    tag: Tag,
    requester: Requester,
    entry: TagEntry | undefined,
  ): Promise<UpstreamResult<ManifestHead>> {
    const as = identityFor(requester.grant);
    const { client, links, revalidationDeadline } = this.#options;
    return this.#running.run(`${as} ${tagKey(repository, tag)}`, async () => {
      const deadline = entry === undefined ? {} : { deadline: revalidationDeadline };
      const ask = { as, requester, ...deadline };
      const answer = await client.headManifest(repository, { kind: 'tag', tag }, ask);
      await links.learn(repository, as, answer);
      if (answer.kind === 'ok') this.#confirm(repository, tag, as, entry, answer.value);
      else if (
        answer.kind === 'denied' &&
        entry !== undefined &&
        (as === 'account' || entry.public === true)
      ) {
        this.#confirmed.delete(tagKey(repository, tag));
        if (answer.reason !== 'unauthorized') await this.#takeBack(repository, tag, requester, answer.reason);
      }
      return answer;
    });
  }

  #confirm(
    repository: Repository,
    tag: Tag,
    as: UpstreamIdentity,
    entry: TagEntry | undefined,
    { digest, mediaType, size }: ManifestHead,
  ): void {
    const isPublic = as === 'anonymous' || (entry?.digest === digest && entry.public === true);
    const confirmed = { digest, mediaType, size, checkedAt: this.#options.clock(), public: isPublic };
    this.#confirmed.set(tagKey(repository, tag), confirmed, TAG_WRITTEN_AFTER);
  }

  /**
   * Removes a tag that has disappeared: it was deleted, or the repository is hidden, which another request
   * determines. A tag that is hidden from anonymous stays for the account. A tag that now names an unmirrored
   * manifest has lost its earlier value, too.
   */
  async #takeBack(
    repository: Repository,
    tag: Tag,
    requester: Requester,
    reason: 'not-found' | 'unsupported',
  ): Promise<void> {
    const { store, links } = this.#options;
    if (reason === 'unsupported') return store.index.removeTag(repository.name, tag);
    const readable = await links.review(repository, requester, { isDoubted: true });
    if (requester.grant === 'private' || readable.kind === 'ok')
      await store.index.removeTag(repository.name, tag);
  }

  /**
   * Stores a tag that has not moved only from time to time, because its confirmation is not worth a write.
   */
  async putTag(
    repository: Repository,
    tag: Tag,
    entry: TagEntry | undefined,
    { digest, mediaType, size, public: isPublic }: ManifestHead & Pick<Required<TagEntry>, 'public'>,
  ): Promise<void> {
    const { store, clock } = this.#options;
    const checkedAt = this.#confirmed.get(tagKey(repository, tag))?.checkedAt ?? clock();
    const isRecent = entry?.digest === digest && checkedAt - entry.checkedAt < TAG_WRITTEN_AFTER;
    if (isRecent && (entry.public === true || !isPublic)) return;
    const facts = { mediaType, checkedAt, public: isPublic };
    await store.index.putTag(repository.name, tag, { digest, size, ...facts });
    await store.index.putLink(repository.name, digest, { kind: 'manifest', ...facts });
  }
}

/** Returns the key of a tag in a repository. */
export function tagKey({ name }: Repository, tag: Tag): string {
  return `${name}:${tag}`;
}
