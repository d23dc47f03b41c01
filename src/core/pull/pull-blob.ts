import type { BlobLocation, CacheState } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import type { BlobHead } from '../upstream/read-blob.ts';
import type { Requester } from '../upstream/requester.ts';
import { BlobDownloads, type BlobDownloadsOptions, type BlobRequest } from './blob-downloads.ts';
import type { Download } from './download.ts';
import type { Fill } from './fill.ts';
import { type PullOutcome, refusalOf } from './outcome.ts';
import { PartPull } from './pull-part.ts';
import type { PulledBlob } from './pulled-blob.ts';
import type { OpenBlob } from './receive-blob.ts';
import { identityFor, type KnownLink } from './repository-links.ts';

/** A blob as far as it is known without a question to the upstream. */
interface KnownBlob {
  readonly known: KnownLink;
  readonly found: BlobLocation | undefined;
  readonly running: Download | undefined;
  /** True if another node has the bytes or is downloading them. */
  readonly isElsewhere: boolean;
}

/** Pulls blobs: from the store, or by a download that all who ask for the same blob join. */
export class BlobPull implements AsyncDisposable {
  readonly #options: BlobDownloadsOptions;
  readonly #downloads: BlobDownloads;
  readonly #parts: PartPull;

  constructor(options: BlobDownloadsOptions) {
    this.#options = options;
    this.#downloads = new BlobDownloads(options);
    this.#parts = new PartPull(options);
  }

  /** The numbers of fills since the start: those that are under way, and those that have ended either way. */
  get fills(): BlobDownloads['fills'] {
    return this.#downloads.fills;
  }

  async get(
    repository: Repository,
    digest: Digest,
    requester: Requester,
    asking: BlobRequest = {},
  ): Promise<PullOutcome<PulledBlob>> {
    const outcome = await this.#get(repository, digest, requester, asking);
    const isFilling = outcome.kind === 'found' && outcome.blob === 'filling';
    if (!isFilling || asking.range === undefined) return outcome;
    const part = await this.#parts.pull(repository, digest, outcome.fill, asking.range, requester);
    return part === undefined ? outcome : { kind: 'found', cache: 'fill', ...part };
  }

  async #get(
    repository: Repository,
    digest: Digest,
    requester: Requester,
    asking: BlobRequest,
  ): Promise<PullOutcome<PulledBlob>> {
    const { store, links } = this.#options;
    const known = await links.known(repository, 'blob', digest, requester.grant);
    const found = await store.content.find(digest);
    const running = this.#downloads.running(digest);
    const isUnknownHere = found === undefined && running === undefined;
    const isElsewhere = isUnknownHere && (await this.#options.sources?.isElsewhere(digest)) === true;
    const isCached = found !== undefined && known.link !== undefined;
    const refusal = isCached ? undefined : this.#downloads.whyNoDownload(requester);
    // A requester that may not download is refused before the upstream is asked, unless the bytes may be here
    // already. Then it gets those or the same refusal.
    if (refusal !== undefined && isUnknownHere && !isElsewhere) return refusal;
    const blob = { known, found, running, isElsewhere };
    const outcome = await this.#pullKnown(repository, digest, requester, asking, blob);
    return outcome.kind === 'refused' ? (refusal ?? outcome) : outcome;
  }

  async #pullKnown(
    repository: Repository,
    digest: Digest,
    requester: Requester,
    asking: BlobRequest,
    { known, found, running, isElsewhere }: KnownBlob,
  ): Promise<PullOutcome<PulledBlob>> {
    const { store, links } = this.#options;
    // A fetch under the repository's own scope confirms the digest. A fill of another repository does not.
    const isOwn = found === undefined && (running?.fill === undefined || running.isOf(repository.name));
    if (known.mayFetch && isOwn && !isElsewhere)
      return this.#downloads.join(repository, digest, { ...asking, requester, isLinked: false });
    const access = await links.confirm(repository, 'blob', digest, requester, known);
    if (access.kind === 'refused') return refusalOf(access.answer, 'BLOB_UNKNOWN');
    const location = found ?? (await store.content.find(digest));
    if (location === undefined)
      return this.#downloads.join(repository, digest, { ...asking, requester, isLinked: true });
    const { isAsked, staleFor } = access;
    if (staleFor !== undefined)
      return { kind: 'found', cache: 'stale', age: seconds(staleFor), blob: 'stored', location };
    const { maxAgeMs } = isAsked ? await links.visibility(repository, requester.grant) : known;
    return { kind: 'found', cache: 'hit', maxAgeMs, blob: 'stored', location };
  }

  /**
   * Fetches a hosted blob, whose bytes `origin` opens. No upstream is ever asked, and no limit of one
   * applies.
   */
  hosted(
    repository: Repository,
    digest: Digest,
    origin: OpenBlob,
    asking: BlobRequest & { readonly requester: Requester },
  ): Promise<PullOutcome<PulledBlob>> {
    return this.#downloads.join(repository, digest, { ...asking, isLinked: true, origin });
  }

  /** Starts no fill, because a HEAD moves no bytes. */
  async head(repository: Repository, digest: Digest, requester: Requester): Promise<PullOutcome<BlobHead>> {
    const { store, client, links } = this.#options;
    const known = await links.known(repository, 'blob', digest, requester.grant);
    const stored = await store.content.find(digest);
    // If the content is not cached, the answer reveals nothing beyond what the redirect leads to, so the
    // redirect needs no proof.
    const isProof = stored !== undefined;
    const access = await links.confirm(repository, 'blob', digest, requester, known, { isProof });
    if (access.kind === 'refused') return refusalOf(access.answer, 'BLOB_UNKNOWN');
    if (stored !== undefined) return found(access.staleFor === undefined ? 'hit' : 'stale', stored.size);
    if (access.head?.size !== undefined) return found('fill', access.head.size);
    const ask = { as: identityFor(requester.grant), requester, wantSize: true };
    const head = await client.headBlob(repository, digest, ask);
    return head.kind === 'ok' ? found('fill', head.value.size) : refusalOf(head, 'BLOB_UNKNOWN');
  }

  /** Returns the fill of a digest that is under way. */
  running(digest: Digest): Fill | undefined {
    return this.#downloads.running(digest)?.running;
  }

  /** Ends the fills under way. Their partial files stay for the next start. */
  abandon(): void {
    this.#downloads.abandon();
  }

  /** Waits for the fills under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#downloads[Symbol.asyncDispose]();
  }
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 1000);
}

function found(cache: CacheState, size: number | undefined): PullOutcome<BlobHead> {
  return { kind: 'found', cache, size };
}
