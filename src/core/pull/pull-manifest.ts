import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Logger } from '../../platform/log.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import { throwIfNobodyWaits } from '../../platform/scheduling/waiters.ts';
import type { CacheState, ReadAccess } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference, Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { type Freshness, judgeFreshness } from '../freshness/freshness.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { TagEntry } from '../store/index-store.ts';
import type { FoundContent } from '../store/recorded-content.ts';
import type { Store } from '../store/store.ts';
import type { ManifestHead, RegistryClient, UpstreamManifest } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import { ReservedPull } from '../upstream/reserved-pull.ts';
import {
  isOverBudget,
  ok,
  type UpstreamRefusal,
  type UpstreamResult,
  unavailable,
} from '../upstream/upstream-result.ts';
import type { CacheWrites } from './cache-writes.ts';
import { ColdPulls } from './cold-pulls.ts';
import { heldBy, type PullOutcome, type PullRefusal, refusalOf } from './outcome.ts';
import { type ReferrersCache, referrersSubject } from './referrers-cache.ts';
import {
  type BlobAccess,
  identityFor,
  type KnownLink,
  type KnownVisibility,
  type RepositoryLinks,
} from './repository-links.ts';
import { childrenOf, whyInvalidManifest } from './validate-document.ts';
import { ValidatedManifests } from './validated-manifests.ts';

export interface PulledManifest extends ManifestHead {
  /** Absent if only the head was requested. */
  readonly bytes?: Buffer;
  /** The seconds since the upstream's answer; only for a `stale` answer. */
  readonly age?: number;
}

export interface ManifestPullOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly memberships: RepositoryLinks;
  readonly writes: CacheWrites;
  readonly referrers: ReferrersCache;
  readonly clock: Clock;
  readonly log: Logger;
  /** All times are in milliseconds. */
  readonly tagFreshness: number;
  readonly staleIfError: number;
  /**
   * A request that a cached answer could satisfy waits less long for a slow upstream than one without a
   * cached answer.
   */
  readonly revalidationDeadline: number;
}

type Method = 'GET' | 'HEAD';

/** The way in which the core obtains and answers a manifest. */
interface Delivery {
  readonly method: Method;
  readonly requester: Requester;
  readonly cache: CacheState;
  /** The content that the store has found under the digest. */
  readonly stored?: FoundContent;
}

/** The stored entry of a tag and the upstream's current answer about it. */
interface ToldTag {
  readonly entry: TagEntry | undefined;
  /** The entry, if its manifest may be served in the place of one that cannot be fetched. */
  readonly usable: TagEntry | undefined;
  readonly head: ManifestHead;
  readonly isFresh: boolean;
}

/** A tag as far as it is known without a question to the upstream. */
interface KnownTag extends Pick<KnownVisibility, 'visible' | 'maxAgeMs'> {
  readonly entry: TagEntry | undefined;
  /** The last answer of the upstream, if it is still fresh. */
  readonly fresh: TagEntry | undefined;
}

interface KnownDigest {
  readonly stored: FoundContent | undefined;
  readonly known: KnownLink;
}

/** A pull of a manifest that is not cached in the repository. */
interface ColdPull {
  readonly key: string;
  readonly pull: (by: Requester) => Promise<PullOutcome<PulledManifest>>;
  /** Begins anew, after another requester's pull of the same has ended. */
  readonly again: () => Promise<PullOutcome<PulledManifest>>;
  /** True if the content is cached, and it is only unknown whether the repository contains it. */
  readonly isStored?: boolean;
}

/** The time in milliseconds. The last confirmation of a tag may seem earlier by this much after a restart. */
const WRITE_CONFIRMED_AFTER = 60 * 60_000;
const MAX_CONFIRMED = 50_000;

export class ManifestPull {
  readonly #options: ManifestPullOptions;
  /** The latest confirmations of tags, which the index does not contain. */
  readonly #confirmed: ExpiringCache<TagEntry>;
  readonly #revalidating = new SingleFlight<UpstreamResult<ManifestHead>>(isOverBudget);
  readonly #fetching = new SingleFlight<UpstreamResult<UpstreamManifest>>(isOverBudget);
  readonly #cold = new ColdPulls();
  readonly #judged: ValidatedManifests;

  constructor(options: ManifestPullOptions) {
    this.#options = options;
    this.#judged = new ValidatedManifests(options.store);
    this.#confirmed = new ExpiringCache(MAX_CONFIRMED, options.clock);
  }

  /**
   * Pulls the manifest of a tag or a digest. A HEAD moves no manifest, and so costs no pull of the upstream's
   * quota.
   */
  pull(
    repository: Repository,
    reference: Reference,
    method: Method,
    requester: Requester,
  ): Promise<PullOutcome<PulledManifest>> {
    return reference.kind === 'tag'
      ? this.#byTag(repository, reference.tag, method, requester)
      : this.#byDigest(repository, reference.digest, method, requester);
  }

  async #byTag(
    repository: Repository,
    tag: Tag,
    method: Method,
    requester: Requester,
  ): Promise<PullOutcome<PulledManifest>> {
    const { store, memberships } = this.#options;
    const { grant } = requester;
    const entry = await store.index.tag(repository.name, tag);
    const { visible, maxAgeMs } = await memberships.visibility(repository, grant);
    const latest = this.#latest(repository, tag, entry);
    const isFresh = latest !== undefined && visible === 'visible' && this.#judge(latest) === 'fresh';
    const fresh = isFresh && counts(latest, grant) ? latest : undefined;
    const known = { entry, fresh, visible, maxAgeMs };
    const pull = (by: Requester) => this.#resolveTag(repository, tag, method, by, known);
    const isCold = method === 'GET' && fresh === undefined && (await this.#isCold(tag, entry, grant));
    if (!isCold) return pull(requester);
    const again = () => this.#byTag(repository, tag, method, requester);
    return this.#pullCold(repository, requester, { key: `${repository.name}:${tag}`, pull, again });
  }

  /**
   * True if nothing is cached that the tag could be answered with. The tags of referrers never count as cold:
   * a client must learn whether there are any, to pull what is cached.
   */
  async #isCold(tag: Tag, entry: TagEntry | undefined, grant: ReadAccess): Promise<boolean> {
    if (referrersSubject(tag) !== undefined) return false;
    const isKnown = entry !== undefined && counts(entry, grant);
    return !isKnown || (await this.#options.store.content.find(entry.digest)) === undefined;
  }

  /**
   * Pulls what is not cached, and so costs a pull. A requester that may not pull is refused before the upstream
   * is asked, so the refusal is the same whether or not the content exists. It may wait for the pull of another
   * one that has begun already.
   */
  async #pullCold(
    repository: Repository,
    requester: Requester,
    { key, pull, again, isStored = false }: ColdPull,
  ): Promise<PullOutcome<PulledManifest>> {
    const other = this.#cold.ended(key);
    const reserved = this.#options.client.reservePull(repository, requester);
    if (reserved instanceof ReservedPull) {
      using own = reserved;
      // One pull is enough for all who pull the same.
      if (other !== undefined) own[Symbol.dispose]();
      return await this.#cold.run(key, () => pull({ ...requester, reserved: own }));
    }
    if (other !== undefined) {
      await other;
      throwIfNobodyWaits();
      const outcome = await again();
      return outcome.kind === 'found' && outcome.cache === 'hit' ? { ...outcome, cache: 'joined' } : outcome;
    }
    // A HEAD costs nothing, and may show that the repository contains what another one has brought here.
    const free = isStored ? await pull(requester) : undefined;
    return free?.kind === 'found' ? free : refusalOf(reserved, 'MANIFEST_UNKNOWN');
  }

  async #resolveTag(
    repository: Repository,
    tag: Tag,
    method: Method,
    requester: Requester,
    { entry, fresh, visible, maxAgeMs }: KnownTag,
  ): Promise<PullOutcome<PulledManifest>> {
    const { grant } = requester;
    const isFresh = fresh !== undefined;
    // The tag keeps its value until the manifest that it names now can be fetched.
    const isUsable = entry !== undefined && counts(entry, grant) && visible !== 'unknown';
    const usable = isUsable && this.#judge(entry) !== 'expired' ? entry : undefined;
    const answer = isFresh ? ok(fresh) : await this.#revalidate(repository, tag, requester, entry);
    await this.#noteReferrers(repository, tag, grant, entry, answer);
    if (answer.kind === 'denied') return refusalOf(answer, 'MANIFEST_UNKNOWN');
    const outcome =
      answer.kind === 'ok'
        ? await this.#deliverTag(repository, tag, method, {
            entry,
            usable,
            head: answer.value,
            isFresh,
            requester,
          })
        : refusalOf(answer, 'MANIFEST_UNKNOWN');
    if (outcome.kind === 'found' && isFresh) return this.#holding(outcome, maxAgeMs, fresh.checkedAt);
    if (outcome.kind === 'found' || outcome.error === 'MANIFEST_UNKNOWN') return outcome;
    if (entry === undefined) return (await this.#withoutReferrers(repository, tag, grant)) ?? outcome;
    if (usable === undefined) return outcome;
    const held = heldBy(outcome);
    const stale = await this.#deliverStale(repository, usable, { method, requester });
    return stale.kind === 'found' && held !== undefined ? { ...stale, held } : stale;
  }

  /**
   * Records that the upstream has no such referrers tag, so that the core can answer when the upstream is
   * unreachable.
   */
  async #noteReferrers(
    repository: Repository,
    tag: Tag,
    grant: ReadAccess,
    entry: TagEntry | undefined,
    answer: UpstreamResult<ManifestHead>,
  ): Promise<void> {
    if (referrersSubject(tag) === undefined) return;
    const { referrers } = this.#options;
    if (answer.kind === 'denied' && answer.reason === 'not-found')
      await referrers.put(repository, `manifests/${tag}`, grant, undefined);
    else if (answer.kind === 'ok' && entry === undefined)
      await referrers.remove(repository, `manifests/${tag}`, grant);
  }

  /** Answers 404 for a referrers tag if the upstream cannot be asked and the tag is known not to exist. */
  async #withoutReferrers(
    repository: Repository,
    tag: Tag,
    grant: ReadAccess,
  ): Promise<PullRefusal | undefined> {
    const { referrers } = this.#options;
    const subject = referrersSubject(tag);
    if (subject === undefined) return undefined;
    const none = { kind: 'refused', error: 'MANIFEST_UNKNOWN' } as const;
    const stale = await referrers.recall(repository, `manifests/${tag}`, grant);
    if (stale !== undefined) return { ...none, age: stale.age };
    return (await referrers.isStoredAttestation(repository, subject, grant)) ? none : undefined;
  }

  /**
   * Returns the upstream's last answer about a tag: the stored entry, or a later confirmation. A tag that was
   * removed has no confirmation either.
   */
  #latest(repository: Repository, tag: Tag, entry: TagEntry | undefined): TagEntry | undefined {
    const confirmed = this.#confirmed.get(`${repository.name}:${tag}`);
    return entry !== undefined && confirmed !== undefined && confirmed.checkedAt >= entry.checkedAt
      ? confirmed
      : entry;
  }

  #judge({ checkedAt }: TagEntry): Freshness {
    const { clock, tagFreshness, staleIfError } = this.#options;
    return judgeFreshness(checkedAt, clock(), { freshFor: tagFreshness, staleFor: staleIfError });
  }

  async #deliverTag(
    repository: Repository,
    tag: Tag,
    method: Method,
    { entry, usable, head, isFresh, requester }: ToldTag & { readonly requester: Requester },
  ): Promise<PullOutcome<PulledManifest>> {
    const isSame = entry?.digest === head.digest;
    if (method === 'HEAD' && usable !== undefined && !isSame) {
      const withheld = await this.#withheld(repository, usable, head, requester);
      if (withheld !== undefined) return withheld;
    }
    const cache = isSame ? (isFresh ? 'hit' : 'revalidated') : 'fill';
    const delivered = await this.#deliver(repository, head, { method, requester, cache });
    // After a HEAD it is unknown whether the manifest can be fetched. If there was no manifest before,
    // nothing is lost.
    const isKept = delivered.kind === 'found' && (method === 'GET' || entry === undefined || isSame);
    const isPublic = requester.grant === 'public' || (isSame && entry?.public === true);
    if (isKept) await this.#putTag(repository, tag, entry, { ...head, public: isPublic });
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
    const { content } = this.#options.store;
    if ((await content.find(head.digest)) !== undefined) return undefined;
    if ((await content.find(entry.digest)) === undefined) return undefined;
    if (this.#cold.ended(keyOf(repository, head.digest)) !== undefined) return undefined;
    const { client } = this.#options;
    const reserved = client.reservePull(repository, requester);
    if (!(reserved instanceof ReservedPull)) return refusalOf(reserved, 'MANIFEST_UNKNOWN');
    reserved[Symbol.dispose]();
    return undefined;
  }

  async #deliverStale(
    repository: Repository,
    entry: TagEntry,
    asked: Pick<Delivery, 'method' | 'requester'>,
  ): Promise<PullOutcome<PulledManifest>> {
    const stale = await this.#deliver(repository, entry, { ...asked, cache: 'stale' });
    return stale.kind === 'found'
      ? { ...stale, age: seconds(this.#options.clock() - entry.checkedAt) }
      : stale;
  }

  /**
   * Stores a tag that has not moved only from time to time, because its confirmation is not worth a write.
   */
  async #putTag(
    repository: Repository,
    tag: Tag,
    entry: TagEntry | undefined,
    { digest, mediaType, size, public: isPublic }: ManifestHead & Pick<Required<TagEntry>, 'public'>,
  ): Promise<void> {
    const { index } = this.#options.store;
    const checkedAt = this.#confirmed.get(`${repository.name}:${tag}`)?.checkedAt ?? this.#options.clock();
    const isRecent = entry?.digest === digest && checkedAt - entry.checkedAt < WRITE_CONFIRMED_AFTER;
    if (isRecent && (entry.public === true || !isPublic)) return;
    const facts = { mediaType, checkedAt, public: isPublic };
    await index.putTag(repository.name, tag, { digest, size, ...facts });
    await index.putLink(repository.name, digest, { kind: 'manifest', ...facts });
  }

  /**
   * Sends one upstream HEAD for all callers and caches the answer. If the tag is gone, it is removed for the
   * identity that asked.
   */
  #revalidate(
    repository: Repository,
    tag: Tag,
    requester: Requester,
    entry: TagEntry | undefined,
  ): Promise<UpstreamResult<ManifestHead>> {
    const as = identityFor(requester.grant);
    const { client, memberships, clock, revalidationDeadline } = this.#options;
    const key = `${repository.name}:${tag}`;
    return this.#revalidating.run(`${as} ${key}`, async () => {
      const deadline = entry === undefined ? {} : { deadline: revalidationDeadline };
      const answer = await client.headManifest(
        repository,
        { kind: 'tag', tag },
        { as, requester, ...deadline },
      );
      await memberships.learn(repository, as, answer);
      if (answer.kind === 'ok') {
        const { digest, mediaType, size } = answer.value;
        const isPublic = as === 'anonymous' || (entry?.digest === digest && entry.public === true);
        const confirmed = { digest, mediaType, size, checkedAt: clock(), public: isPublic };
        this.#confirmed.set(key, confirmed, WRITE_CONFIRMED_AFTER);
      } else if (
        answer.kind === 'denied' &&
        entry !== undefined &&
        (as === 'account' || entry.public === true)
      ) {
        this.#confirmed.delete(key);
        if (answer.reason !== 'unauthorized') await this.#takeBack(repository, tag, requester, answer.reason);
      }
      return answer;
    });
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
    const { store, memberships } = this.#options;
    if (reason === 'unsupported') return store.index.removeTag(repository.name, tag);
    const readable = await memberships.review(repository, requester, { isDoubted: true });
    if (requester.grant === 'private' || readable.kind === 'ok')
      await store.index.removeTag(repository.name, tag);
  }

  async #byDigest(
    repository: Repository,
    digest: Digest,
    method: Method,
    requester: Requester,
  ): Promise<PullOutcome<PulledManifest>> {
    const { store, memberships } = this.#options;
    const stored = await store.content.findTyped(digest);
    const { grant } = requester;
    const known = await memberships.known(repository, 'manifest', digest, grant);
    const pull = (by: Requester) => this.#pullDigest(repository, digest, method, by, { stored, known });
    const isStored = stored !== undefined;
    if (method === 'HEAD' || (isStored && known.link !== undefined)) return pull(requester);
    const again = () => this.#byDigest(repository, digest, method, requester);
    return this.#pullCold(repository, requester, { key: keyOf(repository, digest), pull, again, isStored });
  }

  async #pullDigest(
    repository: Repository,
    digest: Digest,
    method: Method,
    requester: Requester,
    { stored, known }: KnownDigest,
  ): Promise<PullOutcome<PulledManifest>> {
    const { memberships, client } = this.#options;
    const { grant } = requester;
    if (method === 'GET' && stored === undefined && known.mayFetch)
      return this.#fetch(repository, digest, requester);
    const membership = await memberships.confirm(repository, 'manifest', digest, requester, known);
    if (membership.kind === 'refused') return refusalOf(membership.answer, 'MANIFEST_UNKNOWN');
    const size = membership.head?.size ?? stored?.location.size;
    if (size !== undefined) {
      const cache = stored === undefined ? 'fill' : 'hit';
      const delivery = { method, requester, cache, ...(stored && { stored }) } as const;
      return this.#deliverLinked(repository, { digest, size }, membership, known, delivery);
    }
    if (method === 'GET') return this.#fetch(repository, digest, requester);
    const asked = await client.headManifest(
      repository,
      { kind: 'digest', digest },
      { as: identityFor(grant), requester },
    );
    return asked.kind === 'ok'
      ? { kind: 'found', cache: 'fill', ...asked.value }
      : refusalOf(asked, 'MANIFEST_UNKNOWN');
  }

  async #deliverLinked(
    repository: Repository,
    { digest, size }: Pick<ManifestHead, 'digest' | 'size'>,
    { link, isAsked, staleFor }: BlobAccess & { readonly kind: 'linked' },
    known: KnownVisibility,
    delivery: Delivery,
  ): Promise<PullOutcome<PulledManifest>> {
    if (link.kind !== 'manifest') throw new Error('a manifest has a blob’s link');
    const isStale = delivery.cache === 'hit' && staleFor !== undefined;
    const delivered = await this.#deliver(
      repository,
      { digest, mediaType: link.mediaType, size },
      isStale ? { ...delivery, cache: 'stale' } : delivery,
    );
    if (isStale && delivered.kind === 'found') return { ...delivered, age: seconds(staleFor) };
    const { memberships } = this.#options;
    const { maxAgeMs } = isAsked ? await memberships.visibility(repository, delivery.requester.grant) : known;
    return this.#holding(delivered, maxAgeMs);
  }

  /** Adds the max age to a hit. A tag that was confirmed at `checkedAt` is also bounded by its freshness. */
  #holding(
    outcome: PullOutcome<PulledManifest>,
    visibleFor: number,
    checkedAt = Number.POSITIVE_INFINITY,
  ): PullOutcome<PulledManifest> {
    if (outcome.kind !== 'found' || outcome.cache !== 'hit') return outcome;
    const { clock, tagFreshness } = this.#options;
    return { ...outcome, maxAgeMs: Math.min(visibleFor, checkedAt + tagFreshness - clock()) };
  }

  /** Delivers a manifest that the caller may have: from the store, or else by a fetch. */
  async #deliver(
    repository: Repository,
    { digest, mediaType, size }: ManifestHead,
    { method, requester, cache, stored }: Delivery,
  ): Promise<PullOutcome<PulledManifest>> {
    // An upstream can name the digest of any content that is in the cache.
    if (size > MAX_DOCUMENT_SIZE) return this.#refuse(repository, digest, 'larger than 4 MiB');
    if (method === 'HEAD') return { kind: 'found', cache, digest, mediaType, size };
    const judged = await this.#judged.read(digest, mediaType, stored);
    if (judged === undefined) return this.#fetch(repository, digest, requester);
    if (judged.kind === 'unfit') return this.#refuse(repository, digest, judged.why);
    const { bytes } = judged;
    return { kind: 'found', cache, digest, mediaType, size: bytes.length, bytes };
  }

  #refuse(repository: Repository, digest: Digest, why: string): PullRefusal {
    return refusalOf(this.#unfit(repository, digest, why), 'MANIFEST_UNKNOWN');
  }

  #unfit({ name }: Repository, digest: Digest, unfit: string): UpstreamRefusal {
    this.#options.log.warn({ repository: name, digest, unfit }, 'a manifest from the upstream is refused');
    return unavailable('unfit', `${name}@${digest}: ${unfit}`);
  }

  /** Fetches by digest, as the account. It sends one GET for all callers that ask at the same time. */
  async #fetch(
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<PullOutcome<PulledManifest>> {
    const key = keyOf(repository, digest);
    const cache = this.#fetching.isRunning(key) ? 'joined' : 'fill';
    const fetch = () => this.#fetchAndKeep(repository, digest, requester);
    const answer = await this.#cold.run(key, () => this.#fetching.run(key, fetch));
    return answer.kind === 'ok'
      ? { kind: 'found', cache, ...answer.value }
      : refusalOf(answer, 'MANIFEST_UNKNOWN');
  }

  async #fetchAndKeep(
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<UpstreamResult<UpstreamManifest>> {
    const { store, client, memberships, writes, clock } = this.#options;
    const ask = { as: 'account', requester } as const;
    const answer = await client.getManifest(repository, { kind: 'digest', digest }, ask);
    await memberships.learn(repository, 'account', answer);
    if (answer.kind === 'denied') await store.index.removeLink(repository.name, digest);
    if (answer.kind !== 'ok') return answer;
    const { bytes, mediaType } = answer.value;
    const unfit = whyInvalidManifest(bytes, mediaType);
    if (unfit !== undefined) return this.#unfit(repository, digest, unfit);
    const children = childrenOf(bytes);
    if (!writes.isFailing)
      await store.content.publish(digest, bytes, mediaType).catch((error) => writes.failed(error));
    if (writes.isFailing) writes.passed();
    await store.index.putChildren(digest, children);
    // A caller with public read access comes here only if the repository is known to be public.
    const facts = { public: requester.grant === 'public', checkedAt: clock() };
    await store.index.putLink(repository.name, digest, { kind: 'manifest', mediaType, ...facts });
    return answer;
  }
}

function keyOf({ name }: Repository, digest: Digest): string {
  return `${name}@${digest}`;
}

/**
 * True if the entry counts for the read access. Public access needs an answer that the upstream gave to
 * anonymous.
 */
function counts({ public: isPublic }: TagEntry, grant: ReadAccess): boolean {
  return grant === 'private' || isPublic === true;
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 1000);
}
