import type { Clock } from '../../platform/clock.ts';
import type { Grant } from '../../registry/core-api.ts';
import { nextPage, type Page, writePage } from '../../registry/page.ts';
import type { Repository } from '../../registry/repository.ts';
import { judgeFreshness } from '../freshness/freshness.ts';
import type { IndexStore } from '../store/index-store.ts';
import type { Refused } from '../upstream/answer.ts';
import { askDocument, type DocumentAsking, storedAs } from './ask-document.ts';
import { unfitTags } from './manifest-document.ts';
import { readerFor } from './membership.ts';
import { type Outcome, refusalOf } from './outcome.ts';

/** A list of tags, or what refers to a manifest. Both are asked for each time; the last answer stays for when that cannot be. */
export interface PulledDocument {
  readonly bytes: Uint8Array;
  /** Where the next page of a list begins. */
  readonly next?: Page;
  /** Seconds since the upstream last said so; of a `stale` answer. */
  readonly age?: number;
}

export interface DocumentPullOptions extends DocumentAsking {
  readonly index: IndexStore;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly staleIfError: number;
}

/** Bytes. A longer list is not kept. */
const MAX_KEPT = 1024 * 1024;

export class DocumentPull {
  readonly #options: DocumentPullOptions;

  constructor(options: DocumentPullOptions) {
    this.#options = options;
  }

  async tags(repository: Repository, page: Page, grant: Grant): Promise<Outcome<PulledDocument>> {
    const { index, clock } = this.#options;
    const query = writePage(page);
    const resource = query === '' ? 'tags/list' : `tags/list?${query}`;
    const answer = await askDocument(this.#options, {
      repository,
      resource,
      name: resource,
      grant,
      unfit: unfitTags,
    });
    const key = storedAs(resource, grant);
    if (answer.kind === 'no') await this.#takeBack(repository, key, grant);
    if (answer.kind !== 'yes') return this.#stale(repository, key, grant, answer);
    const { bytes, link } = answer.value;
    if (bytes.length <= MAX_KEPT)
      await index.putDocument(repository.name, key, { bytes, link, readAt: clock() });
    return { kind: 'found', cache: 'fill', ...listed(bytes, link) };
  }

  /** Removes the stored list after the upstream refused it. The refusal can concern the whole repository. */
  async #takeBack(repository: Repository, key: string, grant: Grant): Promise<void> {
    const { index, memberships } = this.#options;
    if ((await index.document(repository.name, key)) === undefined) return;
    await index.removeDocument(repository.name, key);
    await memberships.review(repository, readerFor(grant), { isDoubted: true });
  }

  async #stale(
    repository: Repository,
    key: string,
    grant: Grant,
    answer: Refused,
  ): Promise<Outcome<PulledDocument>> {
    const { index, memberships, clock, staleIfError } = this.#options;
    const kept = answer.kind === 'no' ? undefined : await index.document(repository.name, key);
    const rules = { freshFor: 0, staleFor: staleIfError };
    const isUsable =
      kept !== undefined &&
      judgeFreshness(kept.readAt, clock(), rules) !== 'expired' &&
      (await memberships.visibility(repository, grant)).visible !== 'unknown';
    if (!isUsable) return refusalOf(answer, 'NAME_UNKNOWN');
    const age = Math.round((clock() - kept.readAt) / 1000);
    return { kind: 'found', cache: 'stale', ...listed(kept.bytes, kept.link), age };
  }
}

function listed(bytes: Uint8Array, link: string | undefined): PulledDocument {
  const next = nextPage(link ?? '');
  return { bytes, ...(next && { next }) };
}
