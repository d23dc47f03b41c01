import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { Grant } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import { nextPage, type Page, writePage } from '../../registry/page.ts';
import type { Repository } from '../../registry/repository.ts';
import { judgeFreshness } from '../freshness/freshness.ts';
import type { IndexStore } from '../store/index-store.ts';
import { type Answer, cannot, type Refused } from '../upstream/answer.ts';
import type { RegistryClient, RegistryDocument } from '../upstream/registry-client.ts';
import { unfitReferrers, unfitTags } from './manifest-document.ts';
import { type Memberships, readerFor } from './membership.ts';
import { type Outcome, refusalOf } from './outcome.ts';

/** The list of tags, and what refers to a manifest. Both are asked for each time; lists stay for when that cannot be. */
export interface PulledDocument {
  readonly bytes: Uint8Array;
  /** Where the next page of a list begins. */
  readonly next?: Page;
  /** Seconds since the upstream last said so; of a `stale` answer. */
  readonly age?: number;
}

export interface DocumentPullOptions {
  readonly index: IndexStore;
  readonly client: RegistryClient;
  readonly memberships: Memberships;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds. */
  readonly staleIfError: number;
}

const EMPTY_INDEX = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  manifests: [],
};

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
    const answer = await this.#get(repository, resource, grant, unfitTags);
    const key = keptAs(resource, grant);
    if (answer.kind === 'no') await this.#takeBack(repository, key, grant);
    if (answer.kind !== 'yes') return this.#stale(repository, key, grant, answer);
    const { bytes, link } = answer.value;
    if (bytes.length <= MAX_KEPT)
      await index.putDocument(repository.name, key, { bytes, link, readAt: clock() });
    return { kind: 'found', cache: 'fill', ...listed(bytes, link) };
  }

  /** What was listed before is not any more: that can be a word on the whole repository. */
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

  /** An upstream without the endpoint, such as Docker Hub, has nothing that refers to anything: an empty index. */
  async referrers(repository: Repository, digest: Digest, grant: Grant): Promise<Outcome<PulledDocument>> {
    const answer = await this.#get(repository, `referrers/${digest}`, grant, unfitReferrers);
    if (answer.kind === 'yes') return { kind: 'found', cache: 'fill', bytes: answer.value.bytes };
    if (answer.kind === 'cannot' || answer.reason === 'unauthorized')
      return refusalOf(answer, 'NAME_UNKNOWN');
    return { kind: 'found', cache: 'fill', bytes: Buffer.from(JSON.stringify(EMPTY_INDEX)) };
  }

  /** What is not what was asked for is trouble: an error page says nothing, and is not sent to clients as JSON. */
  async #get(
    repository: Repository,
    resource: string,
    grant: Grant,
    unfit: (bytes: Buffer) => string | undefined,
  ): Promise<Answer<RegistryDocument>> {
    const { client, memberships, log } = this.#options;
    const as = readerFor(grant);
    const answer = await client.getDocument(repository, resource, { as });
    const why = answer.kind === 'yes' ? unfit(answer.value.bytes) : undefined;
    if (why !== undefined) {
      log.warn(
        { repository: repository.name, resource, unfit: why },
        'a document from the upstream is refused',
      );
      return cannot('unfit', `${repository.name}/${resource}: ${why}`);
    }
    await memberships.learn(repository, as, answer);
    return answer;
  }
}

/** A list that the account has read is for grants of private content. */
function keptAs(resource: string, grant: Grant): string {
  return grant === 'private' ? `${resource} as account` : resource;
}

function listed(bytes: Uint8Array, link: string | undefined): PulledDocument {
  const next = nextPage(link ?? '');
  return { bytes, ...(next && { next }) };
}
