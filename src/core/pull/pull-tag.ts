import type { Clock } from '../../platform/clock.ts';
import type { ReadAccess } from '../../protocol/core-api.ts';
import type { Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import type { TagEntry } from '../store/index-store.ts';
import type { Store } from '../store/store.ts';
import type { ManifestHead } from '../upstream/read-manifest.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import { ReservedPull } from '../upstream/reserved-pull.ts';
import { ok, type UpstreamResult } from '../upstream/upstream-result.ts';
import type { ColdPulls } from './cold-pulls.ts';
import {
  digestKey,
  type ManifestDelivery,
  type ManifestMethod,
  type PulledManifest,
} from './deliver-manifest.ts';
import { heldBy, type PullOutcome, type PullRefusal, refusalOf, withMaxAge } from './outcome.ts';
import type { ReferrersCache } from './referrers-cache.ts';
import { missingReferrersTag, recordReferrersTag, referrersSubject } from './referrers-tag.ts';
import type { KnownVisibility, RepositoryLinks } from './repository-links.ts';
import { type TagRevalidation, tagKey } from './revalidate-tag.ts';

export interface TagPullOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly links: RepositoryLinks;
  readonly referrers: ReferrersCache;
  readonly clock: Clock;
}

/** The parts of a pull that a pull by tag shares with one by digest. */
export interface TagPullParts {
  readonly cold: ColdPulls;
  readonly delivery: ManifestDelivery;
  readonly revalidation: TagRevalidation;
}

/** A tag as somebody asks for it. */
interface TagQuestion {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly method: ManifestMethod;
  readonly requester: Requester;
}

/** A tag as far as it is known without a question to the upstream. */
interface KnownTag extends Pick<KnownVisibility, 'visible' | 'maxAgeMs'> {
  readonly entry: TagEntry | undefined;
  /** The last answer of the upstream, if it is still fresh. */
  readonly fresh: TagEntry | undefined;
}

/** The stored entry of a tag and the upstream's current answer about it. */
interface AnsweredTag {
  readonly entry: TagEntry | undefined;
  /** The entry, if its manifest may be served in the place of one that cannot be fetched. */
  readonly usable: TagEntry | undefined;
  readonly answer: UpstreamResult<ManifestHead>;
  readonly isFresh: boolean;
}

/** Pulls the manifest that a tag names: the fresh one, the current one, or else the one before. */
export class TagPull {
  readonly #options: TagPullOptions;
  readonly #cold: ColdPulls;
  readonly #delivery: ManifestDelivery;
  readonly #revalidation: TagRevalidation;

  constructor(options: TagPullOptions, { cold, delivery, revalidation }: TagPullParts) {
    this.#options = options;
    this.#cold = cold;
    this.#delivery = delivery;
    this.#revalidation = revalidation;
  }

  async pull(asked: TagQuestion): Promise<PullOutcome<PulledManifest>> {
    const { repository, tag, method, requester } = asked;
    const known = await this.#known(asked);
    const pull = (by: Requester) => this.#resolve({ ...asked, requester: by }, known);
    const isCold =
      method === 'GET' &&
      known.fresh === undefined &&
      (await this.#isCold(tag, known.entry, requester.grant));
    if (!isCold) return pull(requester);
    const again = () => this.pull(asked);
    const isCached = known.visible !== 'unknown' && (await this.#isCached(known.entry));
    return this.#cold.pull(repository, requester, { key: tagKey(repository, tag), pull, again, isCached });
  }

  async #known({ repository, tag, requester: { grant } }: TagQuestion): Promise<KnownTag> {
    const { store, links } = this.#options;
    const entry = await store.index.tag(repository.name, tag);
    const { visible, maxAgeMs } = await links.visibility(repository, grant);
    const latest = this.#revalidation.latest(repository, tag, entry);
    const isFresh =
      latest !== undefined && visible === 'visible' && this.#revalidation.judge(latest) === 'fresh';
    return { entry, fresh: isFresh && counts(latest, grant) ? latest : undefined, visible, maxAgeMs };
  }

  /**
   * True if nothing is cached that the tag could be answered with. The tags of referrers never count as cold:
   * a client must learn whether there are any, to pull what is cached.
   */
  async #isCold(tag: Tag, entry: TagEntry | undefined, grant: ReadAccess): Promise<boolean> {
    if (referrersSubject(tag) !== undefined) return false;
    const isKnown = entry !== undefined && counts(entry, grant);
    return !isKnown || !(await this.#isCached(entry));
  }

  async #isCached(entry: TagEntry | undefined): Promise<boolean> {
    return entry !== undefined && (await this.#options.store.content.find(entry.digest)) !== undefined;
  }

  /** Answers with what the tag names now, or else with what it named before. */
  async #resolve(
    asked: TagQuestion,
    { entry, fresh, visible, maxAgeMs }: KnownTag,
  ): Promise<PullOutcome<PulledManifest>> {
    const { repository, tag, requester } = asked;
    const { grant } = requester;
    const { referrers } = this.#options;
    const isFresh = fresh !== undefined;
    // The tag keeps its value until the manifest that it names now can be fetched.
    const isUsable = entry !== undefined && counts(entry, grant) && visible !== 'unknown';
    const usable = isUsable && this.#revalidation.judge(entry) !== 'expired' ? entry : undefined;
    const answer = isFresh
      ? ok(fresh)
      : await this.#revalidation.revalidate(repository, tag, requester, entry);
    await recordReferrersTag(referrers, repository, tag, grant, { entry, answer });
    const outcome = await this.#outcome(asked, { entry, usable, answer, isFresh });
    if (outcome.kind === 'found' && isFresh)
      return withMaxAge(outcome, Math.min(maxAgeMs, this.#revalidation.freshFor(fresh)));
    if (outcome.kind === 'found' || answer.kind === 'denied' || outcome.error === 'MANIFEST_UNKNOWN')
      return outcome;
    if (entry === undefined) return (await missingReferrersTag(referrers, repository, tag, grant)) ?? outcome;
    return usable === undefined ? outcome : this.#deliverStale(asked, usable, outcome);
  }

  async #outcome(asked: TagQuestion, answered: AnsweredTag): Promise<PullOutcome<PulledManifest>> {
    const { answer } = answered;
    return answer.kind === 'ok'
      ? this.#deliver(asked, answered, answer.value)
      : refusalOf(answer, 'MANIFEST_UNKNOWN');
  }

  /** Delivers the manifest that the tag names now, and records the tag. */
  async #deliver(
    { repository, tag, method, requester }: TagQuestion,
    { entry, usable, isFresh }: AnsweredTag,
    head: ManifestHead,
  ): Promise<PullOutcome<PulledManifest>> {
    const isSame = entry?.digest === head.digest;
    if (method === 'HEAD' && usable !== undefined && !isSame) {
      const withheld = await this.#withheld(repository, usable, head, requester);
      if (withheld !== undefined) return withheld;
    }
    const cache = isSame ? (isFresh ? 'hit' : 'revalidated') : 'fill';
    const delivered = await this.#delivery.deliver(repository, head, { method, requester, cache });
    // After a HEAD it is unknown whether the manifest can be fetched. If there was no manifest before,
    // nothing is lost.
    const isKept = delivered.kind === 'found' && (method === 'GET' || entry === undefined || isSame);
    const isPublic = requester.grant === 'public' || (isSame && entry?.public === true);
    if (isKept) await this.#revalidation.putTag(repository, tag, entry, { ...head, public: isPublic });
    return delivered;
  }

  /**
   * Refuses a HEAD of a tag that has moved to a manifest which the requester may not pull, if its earlier one
   * can be served: clients pull the digest that a HEAD names.
   */
  async #withheld(
    repository: Repository,
    entry: TagEntry,
    head: ManifestHead,
    requester: Requester,
  ): Promise<PullRefusal | undefined> {
    const { client, store } = this.#options;
    if ((await store.content.find(head.digest)) !== undefined) return undefined;
    if ((await store.content.find(entry.digest)) === undefined) return undefined;
    if (this.#cold.ended(digestKey(repository, head.digest)) !== undefined) return undefined;
    const reserved = client.reservePull(repository, requester);
    if (!(reserved instanceof ReservedPull)) return refusalOf(reserved, 'MANIFEST_UNKNOWN');
    reserved[Symbol.dispose]();
    return undefined;
  }

  /** Delivers the earlier manifest of the tag, because the current one was refused. */
  async #deliverStale(
    { repository, method, requester }: TagQuestion,
    entry: TagEntry,
    refusal: PullRefusal,
  ): Promise<PullOutcome<PulledManifest>> {
    const delivery = { method, requester, cache: 'stale' } as const;
    const stale = await this.#delivery.deliver(repository, entry, delivery);
    if (stale.kind !== 'found') return stale;
    const age = Math.round((this.#options.clock() - entry.checkedAt) / 1000);
    const held = heldBy(refusal);
    return { ...stale, age, ...(held !== undefined && { held }) };
  }
}

/**
 * True if the entry counts for the read access. Public access needs an answer that the upstream gave to
 * anonymous.
 */
function counts({ public: isPublic }: TagEntry, grant: ReadAccess): boolean {
  return grant === 'private' || isPublic === true;
}
