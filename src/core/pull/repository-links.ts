/**
 * Decides whether a repository contains a digest, and whether a caller with some read access may know it. The
 * private-repository guard and the rule that a digest is served only where it was learnt are both here and
 * nowhere else.
 *
 * For public read access the core asks anonymously, so that only content which everybody can read is
 * confirmed, whatever the account at the upstream can read. For such access a missing and a private
 * repository take the same steps to the same answer. See docs/decisions/0008 for what a denial means.
 */
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Logger } from '../../platform/log.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import type { ReadAccess } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import { judgeFreshness } from '../freshness/freshness.ts';
import {
  ANSWER_MAX_AGE,
  DELETED_RECHECK_AFTER,
  VISIBILITY_FRESH_FOR,
  VISIBILITY_RECENT_FOR,
} from '../limits.ts';
import type { IndexStore, Link, LinkKind } from '../store/index-store.ts';
import type { ManifestHead } from '../upstream/read-manifest.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import type { UpstreamIdentity } from '../upstream/upstream.ts';
import {
  isOverBudget,
  type UpstreamRefusal,
  type UpstreamResult,
  unavailable,
} from '../upstream/upstream-result.ts';
import { whyInvalidTags } from './validate-document.ts';

/** The answer to the question whether a digest is in a repository that the caller may read. */
export type LinkAccess =
  | {
      readonly kind: 'linked';
      readonly link: Link;
      readonly head?: ContentHead;
      /** True if the upstream was asked. */
      readonly isAsked: boolean;
      /**
       * Milliseconds since the repository was last known to be readable, if the upstream could not be asked.
       */
      readonly staleFor?: number;
    }
  | { readonly kind: 'refused'; readonly answer: UpstreamRefusal };

/** The visibility of a repository as far as it is known without asking the upstream. */
export interface KnownVisibility {
  readonly visible: Visible;
  /** Milliseconds since the upstream last confirmed it. */
  readonly age: number;
  /** The milliseconds for which the repository stays visible without another request. */
  readonly maxAgeMs: number;
}

/** The knowledge about a digest in a repository without a request to the upstream. */
export interface KnownLink extends KnownVisibility {
  /**
   * The link of the digest. For public read access it is present only if the upstream has confirmed it to
   * anonymous.
   */
  readonly link: Link | undefined;
  /** True if it is time to ask whether the upstream has deleted the digest. */
  readonly isDue: boolean;
  /** True if the content may be fetched without first asking whether it may be read. */
  readonly mayFetch: boolean;
}

/** The information that a HEAD carried besides its status. */
export interface ContentHead {
  readonly size: number | undefined;
}

/**
 * `stale` means that the repository was public when the upstream was last asked, but too long ago to rely on
 * it without asking again.
 */
export type Visible = 'visible' | 'stale' | 'unknown';

export interface RepositoryLinksOptions {
  readonly index: IndexStore;
  readonly client: RegistryClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly staleIfError: number;
  /**
   * Milliseconds for which the cache keeps content that the upstream has deleted; infinite means as long as
   * it is used.
   */
  readonly keepDeleted: number;
  /** The milliseconds for a request that only confirms cached content. */
  readonly revalidationDeadline: number;
}

/** A digest and the identity with which the core asks about it. */
interface LinkQuestion {
  readonly repository: Repository;
  readonly kind: LinkKind;
  readonly digest: Digest;
  readonly as: UpstreamIdentity;
  readonly requester: Requester;
  readonly known: KnownLink;
  /** True if a redirect counts only once the registry is known to let the asker read the repository. */
  readonly isProof: boolean;
}

/**
 * `kept` means that the upstream has deleted the content, and its copy stays. `refused` means that no copy
 * may be served instead.
 */
type ConfirmedLink =
  | UpstreamResult<ManifestHead | ContentHead>
  | { readonly kind: 'kept'; readonly link: Link }
  | { readonly kind: 'refused'; readonly answer: UpstreamRefusal };

const MAX_ANSWERED = 50_000;
/** With private read access the visibility does not matter. */
const NOT_NEEDED: KnownVisibility = { visible: 'visible', age: 0, maxAgeMs: ANSWER_MAX_AGE };
const UNKNOWN: KnownVisibility = { visible: 'unknown', age: Number.POSITIVE_INFINITY, maxAgeMs: 0 };

export function identityFor(grant: ReadAccess): UpstreamIdentity {
  return grant === 'public' ? 'anonymous' : 'account';
}

export class RepositoryLinks {
  readonly #options: RepositoryLinksOptions;
  readonly #confirming = new SingleFlight<ConfirmedLink>(isOverBudget);
  readonly #reviewing = new SingleFlight<UpstreamResult<unknown>>();
  /** The repositories about which the registry itself has answered the account that Hubgate has there. */
  readonly #answered: ExpiringCache<Repository>;

  constructor(options: RepositoryLinksOptions) {
    this.#options = options;
    this.#answered = new ExpiringCache(MAX_ANSWERED, options.clock);
  }

  /** Returns what is known of a repository's visibility without asking the upstream. */
  async visibility(repository: Repository, grant: ReadAccess): Promise<KnownVisibility> {
    if (grant === 'private') return NOT_NEEDED;
    const { index, clock, staleIfError } = this.#options;
    const entry = await index.visibility(repository.name);
    if (entry?.visibility !== 'public') return UNKNOWN;
    const rules = { freshFor: VISIBILITY_FRESH_FOR, staleFor: staleIfError };
    const freshness = judgeFreshness(entry.checkedAt, clock(), rules);
    if (freshness === 'expired') return UNKNOWN;
    const age = clock() - entry.checkedAt;
    const maxAgeMs = Math.max(0, Math.min(ANSWER_MAX_AGE, VISIBILITY_FRESH_FOR - age));
    return freshness === 'fresh'
      ? { visible: 'visible', age, maxAgeMs }
      : { visible: 'stale', age, maxAgeMs: 0 };
  }

  /**
   * Returns what is known of a digest in a repository without asking the upstream, as far as it counts for
   * this read access. `mayFetch` is true if the digest may be fetched at once, without a question about it.
   */
  async known(repository: Repository, kind: LinkKind, digest: Digest, grant: ReadAccess): Promise<KnownLink> {
    const found = await this.#options.index.link(repository.name, kind, digest);
    const visibility = await this.visibility(repository, grant);
    const link = found !== undefined && this.#counts(found, grant) ? found : undefined;
    // An older answer must not permit fetching content that was pushed after the repository became private.
    const isRecent = link !== undefined || visibility.age <= VISIBILITY_RECENT_FOR;
    const mayFetch = visibility.visible === 'visible' && isRecent;
    return { ...visibility, link, isDue: link !== undefined && this.#isDue(link), mayFetch };
  }

  #counts({ public: isPublic, deletedAt }: Link, grant: ReadAccess): boolean {
    const { clock, keepDeleted } = this.#options;
    const isKept = deletedAt === undefined || clock() - deletedAt < keepDeleted;
    return isKept && (grant === 'private' || isPublic === true);
  }

  /**
   * True if the digest must be checked again. If the cache keeps deleted content as long as it is used, no
   * check is needed.
   */
  #isDue({ checkedAt = 0 }: Link): boolean {
    const { clock, keepDeleted } = this.#options;
    const recheckAfter = Math.max(VISIBILITY_FRESH_FOR, Math.min(keepDeleted, DELETED_RECHECK_AFTER));
    return keepDeleted !== Number.POSITIVE_INFINITY && clock() - checkedAt >= recheckAfter;
  }

  /**
   * Decides whether a repository contains a digest: by what is known, or else by a HEAD under the
   * repository's scope. If the content is not cached, fetching it under that scope confirms as much, and a
   * caller may do that instead. `isProof` is true if content is served or a link is stored because of the
   * answer. Then a redirect alone does not confirm a blob.
   */
  async confirm(
    repository: Repository,
    kind: LinkKind,
    digest: Digest,
    requester: Requester,
    known: KnownLink,
    { isProof = true } = {},
  ): Promise<LinkAccess> {
    const { link, visible, age, isDue } = known;
    if (link !== undefined && visible === 'visible' && !isDue)
      return { kind: 'linked', link, isAsked: false };
    const as = identityFor(requester.grant);
    const question = { repository, kind, digest, as, requester, known, isProof };
    const key = `${as} ${isProof} ${repository.name} ${kind} ${digest}`;
    const answer = await this.#confirming.run(key, () => this.#ask(question));
    if (answer.kind === 'ok') {
      const confirmed: Link =
        'mediaType' in answer.value
          ? { kind: 'manifest', mediaType: answer.value.mediaType }
          : { kind: 'blob' };
      return { kind: 'linked', link: confirmed, head: { size: answer.value.size }, isAsked: true };
    }
    if (answer.kind === 'refused') return answer;
    if (answer.kind === 'kept') return { kind: 'linked', link: answer.link, isAsked: true };
    return answer.kind === 'unavailable' && link !== undefined && visible !== 'unknown'
      ? { kind: 'linked', link, isAsked: true, staleFor: age }
      : { kind: 'refused', answer };
  }

  /** Sends one upstream HEAD under this repository's scope for all callers that ask at the same time. */
  async #ask(question: LinkQuestion): Promise<ConfirmedLink> {
    const { repository, kind, digest, as, requester, known } = question;
    const { client, index, clock, revalidationDeadline } = this.#options;
    const ask = { as, requester, ...(known.link !== undefined && { deadline: revalidationDeadline }) };
    const facts = { public: as === 'anonymous', checkedAt: clock() };
    if (kind === 'manifest') {
      const head = await client.headManifest(repository, { kind: 'digest', digest }, ask);
      await this.learn(repository, as, head);
      if (head.kind !== 'ok') return this.#refused(question, head);
      const { mediaType } = head.value;
      await index.putLink(repository.name, digest, { kind, mediaType, ...facts });
      return head;
    }
    const head = await client.headBlob(repository, digest, ask);
    if (head.kind !== 'ok') {
      await this.learn(repository, as, head);
      return this.#refused(question, head);
    }
    if (head.value.size !== undefined) await this.learn(repository, as, head);
    else if (!this.#isReadable(question)) {
      // A redirect can lead to a login page instead of the storage.
      if (!question.isProof) return head;
      const readable = await this.review(repository, requester);
      if (readable.kind !== 'ok') return readable;
    }
    await index.putLink(repository.name, digest, { kind, ...facts });
    return head;
  }

  /** True if the registry itself has recently answered the asker about this repository. */
  #isReadable({ repository, as, known }: LinkQuestion): boolean {
    return as === 'account' ? this.#answered.get(repository.name) !== undefined : known.visible === 'visible';
  }

  /**
   * Handles a refusal. A missing digest says nothing about the repository, so the core asks about the
   * repository itself if the digest was there before.
   */
  async #refused(
    { repository, digest, requester, known }: LinkQuestion,
    answer: UpstreamRefusal,
  ): Promise<ConfirmedLink> {
    const { link } = known;
    const isDeleted = answer.kind === 'denied' && answer.reason === 'not-found';
    if (!isDeleted || link === undefined) return answer;
    const readable = await this.review(repository, requester, { isDoubted: true });
    if (readable.kind !== 'ok') return { kind: 'refused', answer: readable };
    const { index, clock, keepDeleted, log } = this.#options;
    const { deletedAt = clock() } = link;
    if (clock() - deletedAt >= keepDeleted) {
      await index.removeLink(repository.name, digest);
      return answer;
    }
    if (link.deletedAt === undefined)
      log.info({ repository: repository.name, digest }, 'the upstream has deleted content; its copy stays');
    await index.putLink(repository.name, digest, { ...link, checkedAt: clock(), deletedAt });
    return { kind: 'kept', link };
  }

  /**
   * Asks for the repository's tags to learn whether it can be read at all. The registry itself must answer: a
   * redirect is followed, and an answer that is not a list of tags does not count. `isDoubted` means that
   * content has disappeared, so nothing counts as public until the upstream confirms it.
   */
  review(
    repository: Repository,
    requester: Requester,
    { isDoubted = false } = {},
  ): Promise<UpstreamResult<unknown>> {
    const as = identityFor(requester.grant);
    return this.#reviewing.run(`${as} ${isDoubted} ${repository.name}`, async () => {
      const { client, revalidationDeadline: deadline } = this.#options;
      const read = await client.getDocument(repository, 'tags/list?n=1', { as, requester, deadline });
      const fault = read.kind === 'ok' ? whyInvalidTags(read.value.bytes) : undefined;
      const answer =
        fault === undefined ? read : unavailable('unfit', `${repository.name}: its list of tags is ${fault}`);
      await this.learn(repository, as, answer);
      if (answer.kind === 'denied' || (isDoubted && answer.kind === 'unavailable'))
        await this.#unreadable(repository, as, answer);
      return answer;
    });
  }

  async #unreadable({ name }: Repository, as: UpstreamIdentity, answer: UpstreamRefusal): Promise<void> {
    const { index, clock } = this.#options;
    if (as === 'anonymous') await index.putVisibility(name, { visibility: 'private', checkedAt: clock() });
    else if (answer.kind === 'denied') {
      this.#answered.delete(name);
      await index.forget(name);
    }
  }

  /**
   * Learns from an upstream's answer about the repository. A repository that anonymous may read is public,
   * and one that it may not read is private. A repository that even the account may no longer read is
   * forgotten. A positive answer must be the registry's own, or that of a redirect that was followed.
   */
  async learn(repository: Repository, as: UpstreamIdentity, answer: UpstreamResult<unknown>): Promise<void> {
    const { index, clock } = this.#options;
    const unauthorized = answer.kind === 'denied' && answer.reason === 'unauthorized';
    if (as === 'account') {
      if (answer.kind === 'ok') this.#answered.set(repository.name, repository, VISIBILITY_FRESH_FOR);
      if (!unauthorized) return;
      this.#answered.delete(repository.name);
      await index.forget(repository.name);
    } else if (answer.kind === 'ok' || unauthorized) {
      const visibility = answer.kind === 'ok' ? 'public' : 'private';
      await index.putVisibility(repository.name, { visibility, checkedAt: clock() });
    }
  }
}
