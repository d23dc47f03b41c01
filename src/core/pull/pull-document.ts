import type { Grant } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import { nextPage, type Page, writePage } from '../../registry/page.ts';
import type { Repository } from '../../registry/repository.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import { type Memberships, readerFor } from './membership.ts';
import { type Outcome, refusalOf } from './outcome.ts';

/** Documents that are passed on and not cached: the list of tags, and what refers to a manifest. */
export interface PulledDocument {
  readonly bytes: Buffer;
  /** Where the next page of a list begins. */
  readonly next?: Page;
}

const EMPTY_INDEX = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  manifests: [],
};

export class DocumentPull {
  readonly #client: RegistryClient;
  readonly #memberships: Memberships;

  constructor(client: RegistryClient, memberships: Memberships) {
    this.#client = client;
    this.#memberships = memberships;
  }

  async tags(repository: Repository, page: Page, grant: Grant): Promise<Outcome<PulledDocument>> {
    const query = writePage(page);
    const resource = query === '' ? 'tags/list' : `tags/list?${query}`;
    const answer = await this.#get(repository, resource, grant);
    if (answer.kind !== 'yes') return refusalOf(answer, 'NAME_UNKNOWN');
    const next = nextPage(answer.value.link ?? '');
    return { kind: 'found', cache: 'fill', bytes: answer.value.bytes, ...(next && { next }) };
  }

  /** An upstream without the endpoint, such as Docker Hub, has nothing that refers to anything: an empty index. */
  async referrers(repository: Repository, digest: Digest, grant: Grant): Promise<Outcome<PulledDocument>> {
    const answer = await this.#get(repository, `referrers/${digest}`, grant);
    if (answer.kind === 'yes') return { kind: 'found', cache: 'fill', bytes: answer.value.bytes };
    if (answer.kind === 'cannot' || answer.reason === 'unauthorized')
      return refusalOf(answer, 'NAME_UNKNOWN');
    return { kind: 'found', cache: 'fill', bytes: Buffer.from(JSON.stringify(EMPTY_INDEX)) };
  }

  async #get(repository: Repository, resource: string, grant: Grant) {
    const as = readerFor(grant);
    const answer = await this.#client.getDocument(repository, resource, { as });
    await this.#memberships.learn(repository, as, answer);
    return answer;
  }
}
