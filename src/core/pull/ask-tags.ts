import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { formatPage, nextPage, nextQuery, type Page } from '../../registry/page.ts';
import type { Repository } from '../../registry/repository.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { Requester } from '../upstream/requester.ts';
import { ok, type UpstreamRefusal, type UpstreamResult, unavailable } from '../upstream/upstream-result.ts';
import { askDocument, type DocumentRequest } from './ask-document.ts';
import { pageOf, type TagsPage } from './tag-list.ts';
import { whyInvalidTags } from './validate-document.ts';

/** One page of a list as the upstream sent it. */
export interface AskedTags extends TagsPage {
  readonly bytes: Buffer;
  readonly next?: Page;
}

/** The page lengths that upstreams accept. ECR refuses more than 1,000, some registries more than 100. */
const LENGTHS = [1_000, 100] as const;
/** The statuses with which registries refuse the length of a page. ECR answers 405. */
const REFUSES_LENGTH: readonly (number | undefined)[] = [400, 405, 413, 414, 416, 422, 501];
const LENGTH_TTL = 60 * 60_000;
const MAX_UPSTREAMS = 1_000;
/** The most pages of a list that can be read only as a whole. */
const MAX_PAGES = 100;

/** Fetches lists of tags from upstreams, in pages as long as they allow. */
export class TagsRequest {
  readonly #options: DocumentRequest;
  /** The longest page length that an upstream accepts, if it has refused a longer one. */
  readonly #longest: ExpiringCache<{ readonly n: number | undefined }>;

  constructor(options: DocumentRequest & { readonly clock: Clock }) {
    this.#options = options;
    this.#longest = new ExpiringCache(MAX_UPSTREAMS, options.clock);
  }

  /**
   * Fetches one page. If the upstream refuses the length, a shorter page is requested, and at last one of the
   * upstream's own length.
   */
  async ask(repository: Repository, page: Page, requester: Requester): Promise<UpstreamResult<AskedTags>> {
    const { upstream } = repository;
    const lengths = this.#lengths(repository, page.n);
    for (const [at, n] of lengths.entries()) {
      const isFinal = (answer: UpstreamRefusal) => at === lengths.length - 1 || !isOfLength(answer);
      const answer = await this.#askPage(repository, { ...page, n }, requester, isFinal);
      if (answer.kind !== 'ok' && !isFinal(answer)) continue;
      if (answer.kind === 'ok' && at > 0) this.#longest.set(upstream, { n }, LENGTH_TTL);
      return answer.kind === 'ok' ? ok(cut(answer.value, page)) : answer;
    }
    throw new Error('a list was asked for in no length');
  }

  /** Returns the lengths to request, one after another. */
  #lengths({ upstream }: Repository, n: number | undefined): readonly (number | undefined)[] {
    if (n === undefined) return [undefined];
    const longest = this.#longest.get(upstream);
    const allowed = longest === undefined ? LENGTHS : LENGTHS.filter((length) => length <= (longest.n ?? 0));
    return [...new Set([...allowed.map((length) => Math.min(length, n)), undefined])];
  }

  async #askPage(
    repository: Repository,
    page: { readonly n: number | undefined; readonly last?: string },
    requester: Requester,
    isFinal: (answer: UpstreamRefusal) => boolean,
  ): Promise<UpstreamResult<AskedTags>> {
    const { n, last } = page;
    const query = formatPage({ ...(n !== undefined && { n }), ...(last !== undefined && { last }) });
    const answer = await this.#askDocument(repository, query === '' ? '' : `?${query}`, requester, isFinal);
    if (answer.kind !== 'ok') return answer;
    const { bytes, link = '' } = answer.value;
    const { name, tags } = parseTags(bytes);
    const next = nextPage(link);
    const rest = next === undefined ? nextQuery(link) : undefined;
    if (rest === undefined)
      return ok({ bytes, tags, last, isWhole: next === undefined, ...(next && { next }) });
    return this.#askRest(repository, { name, tags }, rest, requester);
  }

  /**
   * Reads a list to its end if tokens name its pages (Quay), because no client could continue with them here.
   */
  async #askRest(
    repository: Repository,
    first: { readonly name: unknown; readonly tags: readonly string[] },
    rest: string,
    requester: Requester,
  ): Promise<UpstreamResult<AskedTags>> {
    const tags = [...first.tags];
    let left = MAX_DOCUMENT_SIZE;
    let query: string | undefined = rest;
    for (let pages = 1; query !== undefined; pages++) {
      if (pages > MAX_PAGES || left < 0)
        return unavailable('unfit', `${repository.name}: its list of tags is too long`);
      const page = await this.#askDocument(repository, query, requester, () => true);
      if (page.kind !== 'ok') return page;
      left -= page.value.bytes.length;
      tags.push(...parseTags(page.value.bytes).tags);
      query = nextQuery(page.value.link ?? '');
    }
    const bytes = Buffer.from(JSON.stringify({ name: first.name, tags }));
    return ok({ bytes, tags, last: undefined, isWhole: true });
  }

  #askDocument(
    repository: Repository,
    query: string,
    requester: Requester,
    isFinal: (answer: UpstreamRefusal) => boolean,
  ) {
    const resource = `tags/list${query}`;
    const asked = { repository, resource, name: 'tags/list', requester, unfit: whyInvalidTags, isFinal };
    return askDocument(this.#options, asked);
  }
}

/** Parses a valid list of tags. */
export function parseTags(bytes: Uint8Array): { readonly name: unknown; readonly tags: readonly string[] } {
  const { name, tags } = JSON.parse(Buffer.from(bytes).toString('utf8'));
  return { name, tags: tags ?? [] };
}

/**
 * Cuts a list that is longer than was requested: one that the upstream does not divide, or that was read to
 * its end.
 */
function cut(answer: AskedTags, page: Page): AskedTags {
  const { tags, bytes, isWhole } = answer;
  const isCut = page.last !== undefined && tags.includes(page.last);
  const isLong = page.n !== undefined && tags.length > page.n;
  if (!isCut && !isLong) return answer;
  const part = pageOf({ tags, isWhole }, isCut ? page : { ...(page.n !== undefined && { n: page.n }) });
  const written = Buffer.from(JSON.stringify({ name: parseTags(bytes).name, tags: part.tags }));
  return {
    ...answer,
    bytes: written,
    tags: part.tags,
    last: page.last,
    isWhole: part.next === undefined,
    ...(part.next && { next: part.next }),
  };
}

function isOfLength(answer: UpstreamRefusal): boolean {
  return answer.kind === 'unavailable' && REFUSES_LENGTH.includes(answer.failure.status);
}
