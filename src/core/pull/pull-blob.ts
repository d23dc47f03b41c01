import type { Logger } from '../../platform/log.ts';
import type { Grant } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import type { Store } from '../store/store.ts';
import { type Answer, yes } from '../upstream/answer.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import { Fill } from './fill.ts';
import { type Memberships, readerFor } from './membership.ts';
import { type Outcome, refusalOf } from './outcome.ts';

export type PulledBlob =
  /** Whole and verified. */
  | { readonly blob: 'stored'; readonly file: string; readonly size: number }
  | { readonly blob: 'filling'; readonly fill: Fill }
  /** Of a HEAD for what is not in the cache. */
  | { readonly blob: 'elsewhere'; readonly size: number | undefined };

export interface BlobPullOptions {
  readonly store: Store;
  readonly client: RegistryClient;
  readonly memberships: Memberships;
  readonly log: Logger;
}

/** A fill from the moment that its upstream GET is sent. */
interface Opening {
  readonly repository: Repository;
  readonly opened: Promise<Answer<Fill>>;
}

export class BlobPull implements AsyncDisposable {
  readonly #options: BlobPullOptions;
  readonly #fills = new Map<Digest, Opening>();

  constructor(options: BlobPullOptions) {
    this.#options = options;
  }

  /** A HEAD starts no fill: it moves no bytes. */
  async pull(
    repository: Repository,
    digest: Digest,
    method: 'GET' | 'HEAD',
    grant: Grant,
  ): Promise<Outcome<PulledBlob>> {
    const { store, memberships } = this.#options;
    const fetchable = async () => method === 'GET' && (await this.#isFetchableIn(repository, digest));
    const membership = await memberships.of(repository, 'blob', digest, grant, fetchable);
    if (membership.kind === 'refused') return refusalOf(membership.answer, 'BLOB_UNKNOWN');
    const stored = await store.content.find(digest);
    if (membership.kind === 'unconfirmed') {
      // Meanwhile it may have come by way of another repository, which confirms nothing in this one: judge again.
      const running = this.#fills.get(digest);
      const elsewhere = running !== undefined && running.repository.name !== repository.name;
      return stored !== undefined || elsewhere
        ? this.pull(repository, digest, method, grant)
        : this.#join(repository, digest);
    }
    if (stored !== undefined) return { kind: 'found', cache: 'hit', blob: 'stored', ...stored };
    if (method === 'GET') return this.#join(repository, digest);
    return membership.head?.size === undefined
      ? this.#headElsewhere(repository, digest, grant)
      : { kind: 'found', cache: 'fill', blob: 'elsewhere', size: membership.head.size };
  }

  /** Would a GET in this repository reach the upstream under its scope? Not if the content came by way of another. */
  async #isFetchableIn(repository: Repository, digest: Digest): Promise<boolean> {
    const opening = this.#fills.get(digest);
    if (opening !== undefined) return opening.repository.name === repository.name;
    return (await this.#options.store.content.find(digest)) === undefined;
  }

  async #headElsewhere(repository: Repository, digest: Digest, grant: Grant): Promise<Outcome<PulledBlob>> {
    const head = await this.#options.client.headBlob(repository, digest, {
      as: readerFor(grant),
      wantSize: true,
    });
    return head.kind === 'yes'
      ? { kind: 'found', cache: 'fill', blob: 'elsewhere', size: head.value.size }
      : refusalOf(head, 'BLOB_UNKNOWN');
  }

  /** The fill of this digest: the one under way, or a new one. */
  async #join(repository: Repository, digest: Digest): Promise<Outcome<PulledBlob>> {
    const running = this.#fills.get(digest);
    const opening = running ?? this.#open(repository, digest);
    const answer = await opening.opened;
    if (answer.kind !== 'yes') return refusalOf(answer, 'BLOB_UNKNOWN');
    const cache = running === undefined ? 'fill' : 'joined';
    return { kind: 'found', cache, blob: 'filling', fill: answer.value };
  }

  #open(repository: Repository, digest: Digest): Opening {
    const opened = this.#start(repository, digest);
    const opening = { repository, opened };
    this.#fills.set(digest, opening);
    opened
      .then((answer) => (answer.kind === 'yes' ? answer.value.ended : undefined))
      .finally(() => this.#fills.delete(digest))
      .catch(() => {
        // Whoever waits for `opened` has the error.
      });
    return opening;
  }

  async #start(repository: Repository, digest: Digest): Promise<Answer<Fill>> {
    const { store, client, memberships, log } = this.#options;
    const answer = await client.getBlob(repository, digest, { as: 'account' });
    await memberships.learn(repository, 'account', answer);
    if (answer.kind !== 'yes') return answer;
    try {
      await store.index.putLink(repository.name, digest, { kind: 'blob' });
      const partial = await store.content.begin(digest);
      return yes(new Fill(digest, answer.value, partial, log));
    } catch (error) {
      answer.value.body.destroy();
      throw error;
    }
  }

  /** Waits for the fills under way; the caller has cut their connections, or has time. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(
      [...this.#fills.values()].map(async ({ opened }) => {
        const answer = await opened;
        if (answer.kind === 'yes') await answer.value.ended;
      }),
    );
  }
}
