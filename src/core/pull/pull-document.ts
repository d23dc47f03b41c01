import type { Clock } from '../../platform/clock.ts';
import type { ReadAccess } from '../../protocol/core-api.ts';
import type { Page } from '../../registry/page.ts';
import type { Repository } from '../../registry/repository.ts';
import { judgeFreshness } from '../freshness/freshness.ts';
import type { DocumentEntry, IndexStore } from '../store/index-store.ts';
import type { Requester } from '../upstream/requester.ts';
import type { UpstreamRefusal } from '../upstream/upstream-result.ts';
import { type DocumentRequest, storedAs } from './ask-document.ts';
import { type AskedTags, parseTags, TagsRequest } from './ask-tags.ts';
import { type PullOutcome, refusalOf } from './outcome.ts';
import { mergePage, pageOf } from './tag-list.ts';

/**
 * A list of tags or of referrers. Each request asks the upstream. Its last answer is used while it cannot be
 * asked.
 */
export interface PulledDocument {
  readonly bytes: Uint8Array;
  /** The page that follows, if there is one. */
  readonly next?: Page;
  /** The filter that was applied to the list, if there was one. */
  readonly filters?: 'artifactType';
  /** The seconds since the upstream's answer; only for a `stale` answer. */
  readonly age?: number;
}

export interface DocumentPullOptions extends DocumentRequest {
  readonly index: IndexStore;
  readonly clock: Clock;
  /** The time in milliseconds. */
  readonly staleIfError: number;
}

/** The most bytes of a stored list. A longer one is not stored. */
const MAX_KEPT = 1024 * 1024;
/** Replaces the link if the stored list is incomplete. */
const MORE = 'more';

export class DocumentPull {
  readonly #options: DocumentPullOptions;
  readonly #asking: TagsRequest;

  constructor(options: DocumentPullOptions) {
    this.#options = options;
    this.#asking = new TagsRequest(options);
  }

  async tags(repository: Repository, page: Page, requester: Requester): Promise<PullOutcome<PulledDocument>> {
    const answer = await this.#asking.ask(repository, page, requester);
    const key = storedAs('tags/list', requester.grant);
    if (answer.kind === 'denied') await this.#takeBack(repository, key, requester);
    if (answer.kind !== 'ok') return this.#stale(repository, page, requester.grant, answer);
    await this.#keep(repository, key, answer.value);
    const { bytes, next } = answer.value;
    return { kind: 'found', cache: 'fill', bytes, ...(next && { next }) };
  }

  /**
   * Stores what is known of the whole list, so that any page of it can be served while the upstream does not
   * answer.
   */
  async #keep(repository: Repository, key: string, page: AskedTags): Promise<void> {
    const { index, clock } = this.#options;
    const stored = await index.document(repository.name, key);
    const before = stored !== undefined && this.#isUsable(stored) ? stored : undefined;
    const known = before && { ...parseTags(before.bytes), isWhole: before.linkHeader === undefined };
    const merged = mergePage(known, page);
    if (merged === undefined) return;
    const bytes = Buffer.from(JSON.stringify({ name: parseTags(page.bytes).name, tags: merged.tags }));
    if (bytes.length > MAX_KEPT) return;
    const isNew = page.last === undefined && merged.tags.length === page.tags.length;
    const readAt = isNew ? clock() : (before?.readAt ?? clock());
    const linkHeader = merged.isWhole ? undefined : MORE;
    await index.putDocument(repository.name, key, { bytes, linkHeader, readAt });
  }

  /** Removes the stored list after the upstream refused it. The refusal can concern the whole repository. */
  async #takeBack(repository: Repository, key: string, requester: Requester): Promise<void> {
    const { index, links } = this.#options;
    if ((await index.document(repository.name, key)) === undefined) return;
    await index.removeDocument(repository.name, key);
    await links.review(repository, requester, { isDoubted: true });
  }

  async #stale(
    repository: Repository,
    page: Page,
    grant: ReadAccess,
    answer: UpstreamRefusal,
  ): Promise<PullOutcome<PulledDocument>> {
    const { index, links, clock } = this.#options;
    const key = storedAs('tags/list', grant);
    const kept = answer.kind === 'denied' ? undefined : await index.document(repository.name, key);
    const isUsable =
      kept !== undefined &&
      this.#isUsable(kept) &&
      (await links.visibility(repository, grant)).visible !== 'unknown';
    if (!isUsable) return refusalOf(answer, 'NAME_UNKNOWN');
    const { name, tags } = parseTags(kept.bytes);
    const isWhole = kept.linkHeader === undefined;
    const part = pageOf({ tags, isWhole }, page);
    // There may be more tags than are known.
    if (part.tags.length === 0 && !isWhole) return refusalOf(answer, 'NAME_UNKNOWN');
    const bytes = Buffer.from(JSON.stringify({ name, tags: part.tags }));
    const age = Math.round((clock() - kept.readAt) / 1000);
    return { kind: 'found', cache: 'stale', bytes, ...(part.next && { next: part.next }), age };
  }

  #isUsable({ readAt }: DocumentEntry): boolean {
    const { clock, staleIfError } = this.#options;
    return judgeFreshness(readAt, clock(), { freshFor: 0, staleFor: staleIfError }) !== 'expired';
  }
}
