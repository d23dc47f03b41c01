import type { Clock } from '../../platform/clock.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import type { Grant } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import { judgeFreshness } from '../freshness/freshness.ts';
import { ANSWER_HOLDS_FOR, VISIBILITY_FRESH_FOR } from '../limits.ts';
import type { IndexStore, Link, LinkKind } from '../store/index-store.ts';
import type { Answer, Refused } from '../upstream/answer.ts';
import type { ManifestHead, RegistryClient } from '../upstream/registry-client.ts';
import type { Identity } from '../upstream/upstream.ts';
import type { AskOptions } from '../upstream/upstreams.ts';

/**
 * Has this repository this digest, and may a caller with this grant know it? The private-repository guard and the rule
 * that a digest is served only where it was learnt are both here and nowhere else.
 *
 * A grant of public content asks anonymously: what is confirmed so is what the whole world can read, whatever the
 * service account could. For such a grant a missing and a private repository take the same steps to the same answer.
 */
export type Membership =
  | { readonly kind: 'linked'; readonly link: Link; readonly head?: ContentHead }
  | { readonly kind: 'refused'; readonly answer: Refused };

/** What is known of a digest in a repository without asking anybody. */
export interface Known {
  readonly link: Link | undefined;
  readonly visible: Visible;
}

/** What a HEAD said in passing. */
export interface ContentHead {
  readonly size: number | undefined;
}

/** `stale`: it was public when last asked, too long ago to rely on it without asking again. */
export type Visible = 'visible' | 'stale' | 'unknown';

export interface MembershipOptions {
  readonly index: IndexStore;
  readonly client: RegistryClient;
  readonly clock: Clock;
  readonly staleIfError: number;
  /** Milliseconds for a question whose answer only confirms what is cached. */
  readonly revalidationDeadline: number;
}

export function readerFor(grant: Grant): Identity {
  return grant === 'public' ? 'anonymous' : 'account';
}

export class Memberships {
  readonly #options: MembershipOptions;
  readonly #confirming = new SingleFlight<Answer<ManifestHead | ContentHead>>();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** What is known of a repository's visibility, without asking anybody. */
  async visible(repository: Repository, grant: Grant): Promise<Visible> {
    if (grant === 'private') return 'visible';
    const { index, clock, staleIfError } = this.#options;
    const entry = await index.visibility(repository.name);
    if (entry?.visibility !== 'public') return 'unknown';
    const rules = { freshFor: VISIBILITY_FRESH_FOR, staleFor: staleIfError };
    const freshness = judgeFreshness(entry.checkedAt, clock(), rules);
    return freshness === 'fresh' ? 'visible' : freshness === 'stale' ? 'stale' : 'unknown';
  }

  /** Milliseconds for which it goes on to be visible without anybody being asked. */
  async visibleFor(repository: Repository, grant: Grant): Promise<number> {
    if (grant === 'private') return ANSWER_HOLDS_FOR;
    const entry = await this.#options.index.visibility(repository.name);
    if (entry?.visibility !== 'public') return 0;
    const left = entry.checkedAt + VISIBILITY_FRESH_FOR - this.#options.clock();
    return Math.max(0, Math.min(ANSWER_HOLDS_FOR, left));
  }

  async known(repository: Repository, kind: LinkKind, digest: Digest, grant: Grant): Promise<Known> {
    const link = await this.#options.index.link(repository.name, kind, digest);
    return { link, visible: await this.visible(repository, grant) };
  }

  /**
   * The membership of a digest: as it is known, or else as a HEAD under the repository's scope confirms it. Where the
   * content is not here, fetching it under that scope confirms as much, and a caller may do that instead.
   */
  async confirm(
    repository: Repository,
    kind: LinkKind,
    digest: Digest,
    grant: Grant,
    { link, visible }: Known,
  ): Promise<Membership> {
    if (link !== undefined && visible === 'visible') return { kind: 'linked', link };
    const deadline = link === undefined ? {} : { deadline: this.#options.revalidationDeadline };
    const answer = await this.#ask(repository, kind, digest, { as: readerFor(grant), ...deadline });
    if (answer.kind === 'yes') {
      const confirmed: Link =
        'mediaType' in answer.value
          ? { kind: 'manifest', mediaType: answer.value.mediaType }
          : { kind: 'blob' };
      return { kind: 'linked', link: confirmed, head: { size: answer.value.size } };
    }
    if (answer.kind === 'cannot' && link !== undefined && visible === 'stale')
      return { kind: 'linked', link };
    return { kind: 'refused', answer };
  }

  /** One upstream HEAD under this repository's scope, however many ask. */
  #ask(
    repository: Repository,
    kind: LinkKind,
    digest: Digest,
    ask: AskOptions,
  ): Promise<Answer<ManifestHead | ContentHead>> {
    const { as } = ask;
    const { client, index } = this.#options;
    return this.#confirming.run(`${as} ${repository.name} ${kind} ${digest}`, async () => {
      if (kind === 'manifest') {
        const head = await client.headManifest(repository, { kind: 'digest', digest }, ask);
        await this.learn(repository, as, head);
        if (head.kind === 'yes')
          await index.putLink(repository.name, digest, { kind, mediaType: head.value.mediaType });
        return head;
      }
      const head = await client.headBlob(repository, digest, ask);
      await this.learn(repository, as, head);
      if (head.kind === 'yes') await index.putLink(repository.name, digest, { kind });
      return head;
    });
  }

  /**
   * Takes what an upstream answered for what it says of the repository: what anonymous may read is public, what it may
   * not is private; and what even the account may not read any longer is forgotten.
   */
  async learn(repository: Repository, as: Identity, answer: Answer<unknown>): Promise<void> {
    const { index, clock } = this.#options;
    const unauthorized = answer.kind === 'no' && answer.reason === 'unauthorized';
    if (as === 'account') {
      if (unauthorized) await index.forget(repository.name);
    } else if (answer.kind === 'yes' || unauthorized) {
      const visibility = answer.kind === 'yes' ? 'public' : 'private';
      await index.putVisibility(repository.name, { visibility, checkedAt: clock() });
    }
  }
}
