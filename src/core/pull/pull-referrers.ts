import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import type { Digest } from '../../registry/digest.ts';
import { nextQuery } from '../../registry/page.ts';
import type { Repository } from '../../registry/repository.ts';
import { MAX_DOCUMENT_SIZE, MAX_REFERRERS_PAGES } from '../limits.ts';
import type { Requester } from '../upstream/requester.ts';
import { ok, type UpstreamResult, unavailable } from '../upstream/upstream-result.ts';
import { askDocument, type DocumentRequest } from './ask-document.ts';
import { type PullOutcome, refusalOf } from './outcome.ts';
import type { PulledDocument } from './pull-document.ts';
import type { ReferrersCache } from './referrers-cache.ts';
import { joinIndexes, whyInvalidReferrers } from './validate-document.ts';

export interface ReferrersPullOptions extends DocumentRequest {
  readonly memory: ReferrersCache;
  /** The deadline for all pages together, in milliseconds. */
  readonly deadline: number;
}

/**
 * The statuses with which registries say that they do not have this endpoint. Clients then look at the tag
 * `sha256-<hex>`, but only after a 404.
 */
const WITHOUT_ENDPOINT: readonly number[] = [400, 404, 405, 406, 501];

/**
 * Pulls the referrers of a manifest, such as its signatures. The upstream is asked each time. Its last answer
 * is used only when it cannot be asked.
 */
export class ReferrersPull {
  readonly #options: ReferrersPullOptions;
  readonly #asking = new SingleFlight<UpstreamResult<Buffer>>();

  constructor(options: ReferrersPullOptions) {
    this.#options = options;
  }

  async pull(
    repository: Repository,
    digest: Digest,
    requester: Requester,
  ): Promise<PullOutcome<PulledDocument>> {
    const { memory } = this.#options;
    const { grant } = requester;
    const resource = `referrers/${digest}`;
    const key = `${grant} ${repository.name} ${digest}`;
    const answer = await this.#asking.run(key, async () => {
      const asked = await this.#askAll(repository, resource, requester);
      await this.#remember(repository, resource, requester, asked);
      return asked;
    });
    if (answer.kind === 'ok') return { kind: 'found', cache: 'fill', bytes: answer.value };
    const none = refusalOf({ kind: 'denied', reason: 'not-found' }, 'MANIFEST_UNKNOWN');
    if (answer.kind === 'denied') return none;
    const stale = await memory.recall(repository, resource, grant);
    if (stale?.bytes !== undefined)
      return { kind: 'found', cache: 'stale', bytes: stale.bytes, age: stale.age };
    if (stale !== undefined) return { ...none, age: stale.age };
    return (await memory.isStoredAttestation(repository, digest, grant))
      ? none
      : refusalOf(answer, 'MANIFEST_UNKNOWN');
  }

  /**
   * Handles a missing list. The refusal can concern the whole repository, so the core asks about the
   * repository itself.
   */
  async #remember(
    repository: Repository,
    resource: string,
    requester: Requester,
    answer: UpstreamResult<Buffer>,
  ): Promise<void> {
    const { memory, links } = this.#options;
    const { grant } = requester;
    if (answer.kind === 'unavailable') return;
    if (answer.kind === 'ok') return memory.put(repository, resource, grant, answer.value);
    const before = await memory.entry(repository, resource, grant);
    if (before !== undefined && before.bytes.length > 0) {
      await memory.remove(repository, resource, grant);
      const readable = await links.review(repository, requester, { isDoubted: true });
      if (readable.kind !== 'ok') return;
    }
    if (answer.reason === 'not-found') await memory.put(repository, resource, grant, undefined);
  }

  /**
   * Reads all pages into one index. An incomplete list is not an answer, because the wanted signature can be
   * on a missing page.
   */
  async #askAll(
    repository: Repository,
    resource: string,
    requester: Requester,
  ): Promise<UpstreamResult<Buffer>> {
    const pages: Buffer[] = [];
    const started = performance.now();
    let left = MAX_DOCUMENT_SIZE;
    for (let query: string | undefined = ''; query !== undefined; ) {
      const deadline = Math.ceil(started + this.#options.deadline - performance.now());
      if (pages.length === MAX_REFERRERS_PAGES)
        return unavailable('unfit', `${repository.name}/${resource}: more than ${MAX_REFERRERS_PAGES} pages`);
      if (deadline <= 0)
        return unavailable('timeout', `${repository.name}/${resource}: its pages take too long`);
      const page = await askDocument(this.#options, {
        repository,
        resource: resource + query,
        name: resource,
        requester,
        unfit: whyInvalidReferrers,
        deadline,
        ...(pages.length === 0 && { absentBy: WITHOUT_ENDPOINT }),
      });
      // A missing further page does not mean that the manifest has no referrers.
      if (page.kind === 'denied' && pages.length > 0)
        return unavailable('failed', `${repository.name}/${resource}: a further page is refused`);
      if (page.kind !== 'ok') return page;
      left -= page.value.bytes.length;
      if (left < 0) return unavailable('unfit', `${repository.name}/${resource}: larger than 4 MiB`);
      pages.push(page.value.bytes);
      query = nextQuery(page.value.link ?? '');
    }
    const joined = await joinIndexes(pages);
    return joined.length > MAX_DOCUMENT_SIZE
      ? unavailable('unfit', `${repository.name}/${resource}: larger than 4 MiB`)
      : ok(joined);
  }
}
